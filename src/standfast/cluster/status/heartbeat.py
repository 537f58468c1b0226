"""The heartbeat of each server: a row that it alone writes, once a second, and that all read.

An update of a row is replicated like any other write, so what a server has read of another one's
heartbeat is how far it is behind in truth, whatever the threads of replication say.

No row is ever inserted through replication, and none deleted: each server makes the table and all
its rows for itself, before there is anything to replicate. So an update always finds its row,
whichever server came first, and whichever joined later.

With each beat a server notes how far its own log has come. A log that is behind what was noted was
reset by hand: the others take its next writes for some that they have, and leave them out. Its own
writes, as they come back from the others, may bring its numbers past that within the second; the
file of the log and the place in it, which are noted in row 0, they do not. From the next beat on
such a server takes no writes any more, until it has joined anew. The same holds for a server that
runs under another number than its own, which makes no beats either; that is noted in row 0, which
no server's beat writes over.
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
  server TINYINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'its number; 0: this one, never replicated',
  beat DATETIME(6) NULL COMMENT 'UTC by its own clock; NULL: none has come yet'
) ENGINE=InnoDB;
ALTER TABLE standfast.heartbeat
  ADD COLUMN IF NOT EXISTS seq BIGINT UNSIGNED NOT NULL DEFAULT 0
    COMMENT 'the last of its own transactions in its log; of 0, its file << 40 and the place there',
  ADD COLUMN IF NOT EXISTS went_back DATETIME(6) NULL
    COMMENT 'when its log was seen to be behind that, or its number to be another; NULL: never';
INSERT IGNORE INTO standfast.heartbeat (server) VALUES
  (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10);
SET SESSION sql_log_bin = 1;
"""

#: The last of a server's own transactions in its own log, as SQL.
_OWN_SEQ = (
    "CAST(COALESCE(NULLIF(SUBSTRING_INDEX(REGEXP_SUBSTR(CONCAT(',', @@global.gtid_binlog_pos),"
    " CONCAT(',', @@global.gtid_domain_id, '-[0-9]+-[0-9]+')), '-', -1), ''), '0') AS UNSIGNED)"
)


def event_sql(number: int) -> str:
    """Makes the heart itself: an event of the server's scheduler, not replicated, under an account
    that can do nothing else and that nobody can log in to (``ALTER EVENT`` would put root in its
    place). A second one, under another account, stops the writes of a server whose log went back,
    or that runs under another ``number`` than its own: it leaves out what the server of that number
    writes, and the others take the one's writes for the other's.

    Run it once the server's position in every domain is settled, for each beat takes the next
    number of its own domain. Needs ``event_scheduler = ON`` among the server's options to live
    through a restart. A beat takes 300 bytes of each server's binary log.
    """
    other = f"(@@global.server_id <> {number:d} OR @@global.gtid_domain_id <> {number:d})"
    return f"""\
SET SESSION sql_log_bin = 0;
CREATE USER IF NOT EXISTS standfast_heartbeat@localhost IDENTIFIED VIA unix_socket ACCOUNT LOCK;
GRANT EVENT ON standfast.* TO standfast_heartbeat@localhost;
GRANT SELECT, UPDATE ON standfast.heartbeat TO standfast_heartbeat@localhost;
CREATE OR REPLACE DEFINER = standfast_heartbeat@localhost EVENT standfast.heartbeat
  ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE COMMENT 'number {number:d}'
  DO UPDATE standfast.heartbeat SET beat = UTC_TIMESTAMP(6),
    went_back = IF(seq > {_OWN_SEQ}, COALESCE(went_back, UTC_TIMESTAMP(6)), went_back),
    seq = GREATEST(seq, {_OWN_SEQ})
  WHERE server = {number:d} AND NOT {other};
CREATE USER IF NOT EXISTS standfast_guard@localhost IDENTIFIED VIA unix_socket ACCOUNT LOCK;
GRANT EVENT ON standfast.* TO standfast_guard@localhost;
GRANT SELECT, UPDATE ON standfast.heartbeat TO standfast_guard@localhost;
GRANT READ_ONLY ADMIN, BINLOG ADMIN ON *.* TO standfast_guard@localhost;
DELIMITER //
CREATE OR REPLACE DEFINER = standfast_guard@localhost EVENT standfast.guard
  ON SCHEDULE EVERY 1 SECOND ON COMPLETION PRESERVE COMMENT 'number {number:d}'
  DO BEGIN
    DECLARE marks INT DEFAULT 0;
    DECLARE at BIGINT UNSIGNED DEFAULT 0;
    SET SESSION sql_log_bin = 0;
    SELECT IFNULL(MAX(IF(variable_name = 'BINLOG_SNAPSHOT_FILE',
                         CAST(SUBSTRING_INDEX(variable_value, '.', -1) AS UNSIGNED), 0)), 0)
           * 1099511627776
           + IFNULL(MAX(IF(variable_name = 'BINLOG_SNAPSHOT_POSITION',
                           CAST(variable_value AS UNSIGNED), 0)), 0)
      INTO at FROM information_schema.global_status
      WHERE variable_name IN ('BINLOG_SNAPSHOT_FILE', 'BINLOG_SNAPSHOT_POSITION');
    UPDATE standfast.heartbeat SET
      went_back = IF(seq > at OR {other}, COALESCE(went_back, UTC_TIMESTAMP(6)), went_back),
      seq = GREATEST(seq, at)
      WHERE server = 0;
    -- By itself: as part of the next statement it would hold locks that the heart waits for, while
    -- that statement waits for the heart.
    SELECT COUNT(*) INTO marks FROM standfast.heartbeat
      WHERE server IN (0, {number:d}) AND went_back IS NOT NULL;
    IF marks OR {other} THEN
      SET GLOBAL read_only = ON;
    END IF;
  END//
DELIMITER ;
SET GLOBAL event_scheduler = ON;
SET SESSION sql_log_bin = 1;
"""  # noqa: S608 - nothing in it comes from outside


#: One row, ``beats``: 1 where both are there, made for this number, and the heart can beat, else 0.
CHECK_SQL = """\
SELECT @@global.event_scheduler = 'ON'
  AND (SELECT COUNT(*) FROM information_schema.tables
       WHERE table_schema = 'standfast' AND table_name = 'heartbeat') = 1
  AND (SELECT COUNT(*) FROM information_schema.events
       WHERE event_schema = 'standfast' AND event_name IN ('heartbeat', 'guard')
         AND event_comment = CONCAT('number ', @@global.server_id)
         AND status = 'ENABLED') = 2 AS beats;
"""

#: Says of a server that its log went back, as the heart does, and stops its writes at once.
HALT_SQL = """\
SET SESSION sql_log_bin = 0;
UPDATE standfast.heartbeat SET went_back = COALESCE(went_back, UTC_TIMESTAMP(6))
  WHERE server = 0;
SET GLOBAL read_only = ON;
SET SESSION sql_log_bin = 1;
"""

#: Forgets how far a server's log had come: it was given another history. Not replicated.
FORGET_SQL = (
    "UPDATE standfast.heartbeat SET seq = 0, went_back = NULL"
    " WHERE server IN (0, @@global.server_id)"
)

#: One row, ``went_back``: 1 where a server's log is known to have gone back, else 0.
WENT_BACK_SQL = """\
SELECT COUNT(*) > 0 AS went_back FROM standfast.heartbeat
  WHERE server IN (0, @@global.server_id) AND went_back IS NOT NULL
"""

#: A row for each heartbeat: the server's number, its newest beat in microseconds since 1970 by
#: that server's clock (NULL where none has come), and the reader's own time likewise.
READ_SQL = """\
SELECT server, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', beat) AS beat,
  TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) AS now
FROM standfast.heartbeat WHERE server > 0 ORDER BY server;
"""
