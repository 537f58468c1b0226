"""The heartbeat of each server: a row that it alone writes, once a second, and that all read.

An update of a row is replicated like any other write, so what a server has read of another one's
heartbeat is how far it is behind in truth, whatever the threads of replication say.

No row is ever inserted through replication, and none deleted: each server makes the table and all
its rows for itself, before there is anything to replicate. So an update always finds its row,
whichever server came first, and whichever joined later.
"""

from __future__ import annotations

#: Seconds from beat to beat.
PERIOD_S = 1

#: Makes the tool's own database and the table, not replicated. Run it on every server before its
#: links are started; doing so again changes nothing.
TABLE_SQL = """\
SET SESSION sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS standfast CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS standfast.heartbeat (
  server TINYINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'its number',
  beat DATETIME(6) NULL COMMENT 'UTC by its own clock; NULL: none has come yet'
) ENGINE=InnoDB;
INSERT IGNORE INTO standfast.heartbeat (server) VALUES
  (1), (2), (3), (4), (5), (6), (7), (8), (9), (10);
SET SESSION sql_log_bin = 1;
"""

#: Makes the heart itself: an event of the server's scheduler, not replicated, under an account
#: that can do nothing else and that nobody can log in to. Its text names no server, so it is
#: right on whichever server a copy of the data is put. Run it once the server's position in every
#: domain is settled, for each beat takes the next number of its own domain. Needs
#: ``event_scheduler = ON`` among the server's options to live through a restart, and ``server_id``
#: to be the server's number. A beat takes 300 bytes of each server's binary log.
EVENT_SQL = """\
SET SESSION sql_log_bin = 0;
CREATE USER IF NOT EXISTS standfast_heartbeat@localhost IDENTIFIED VIA unix_socket ACCOUNT LOCK;
GRANT EVENT ON standfast.* TO standfast_heartbeat@localhost;
GRANT SELECT, UPDATE ON standfast.heartbeat TO standfast_heartbeat@localhost;
CREATE DEFINER = standfast_heartbeat@localhost EVENT IF NOT EXISTS standfast.heartbeat
  ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE
  DO UPDATE standfast.heartbeat SET beat = UTC_TIMESTAMP(6) WHERE server = @@global.server_id;
ALTER EVENT standfast.heartbeat ENABLE;
SET GLOBAL event_scheduler = ON;
SET SESSION sql_log_bin = 1;
"""

#: One row, ``beats``: 1 where both are there and the heart can beat, else 0.
CHECK_SQL = """\
SELECT @@global.event_scheduler = 'ON'
  AND (SELECT COUNT(*) FROM information_schema.tables
       WHERE table_schema = 'standfast' AND table_name = 'heartbeat') = 1
  AND (SELECT COUNT(*) FROM information_schema.events
       WHERE event_schema = 'standfast' AND event_name = 'heartbeat'
         AND status = 'ENABLED') = 1 AS beats;
"""

#: A row for each heartbeat: the server's number, its newest beat in microseconds since 1970 by
#: that server's clock (NULL where none has come), and the reader's own time likewise.
READ_SQL = """\
SELECT server, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', beat) AS beat,
  TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) AS now
FROM standfast.heartbeat ORDER BY server;
"""
