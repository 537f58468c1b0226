"""The options of MariaDB on one server, as its file under ``/etc/mysql``.

Each is there for a reason, which stands beside it in the file itself; docs/replication.md says
more, and what was measured.
"""

from __future__ import annotations

from ..inventory import MOST_SERVERS, Server, Site

PATH = "/etc/mysql/mariadb.conf.d/60-standfast.cnf"
FOLDER = "/etc/mysql/standfast"
AUTHORITY = f"{FOLDER}/ca.pem"
CERTIFICATE = f"{FOLDER}/cert.pem"
KEY = f"{FOLDER}/key.pem"
NUMBER = f"{FOLDER}/number.sql"

#: A link that is silent for so long is dead; a living one with nothing to say beats more often.
NET_TIMEOUT_S = 10
HEARTBEAT_S = 2
RETRY_S = 2
#: How long a server may be away and still catch up from the logs of the others.
LOGS_KEPT_S = 14 * 86400

_MIB = 1024 * 1024
_HEAD = """\
# Written by standfast from site.toml: changes made here are overwritten.
# It is read after Debian's own files, so what it says counts.
"""


def options(site: Site, server: Server, memory_bytes: int) -> str:
    """The text of the file. ``memory_bytes`` is what the server has in all."""
    pool = site.database.buffer_pool_mib or _pool_mib(memory_bytes)
    parts = [
        _part(
            "who this server is: its writes are known by these everywhere",
            server_id=server.number, gtid_domain_id=server.number,
            report_host=server.name,
        ),
        _part(
            "under another number, whoever set it, it takes no writes from the start",
            init_file=NUMBER,
        ),
        _part(
            "keys that count up never meet: the last digit is the server's number",
            auto_increment_increment=MOST_SERVERS, auto_increment_offset=server.number,
        ),
        _part(
            "every write is logged, its own and the others', as rows with all their columns",
            log_bin="mariadb-bin", relay_log="relay-bin",
            log_slave_updates=1, binlog_format="ROW", binlog_row_image="FULL",
            max_binlog_size=f"{256 * _MIB}", binlog_expire_logs_seconds=LOGS_KEPT_S,
        ),
        _part(
            "a write is applied once, by whichever way it comes, and never out of order",
            gtid_strict_mode=1, gtid_ignore_duplicates=1, slave_exec_mode="STRICT",
        ),
        _part(
            "what was acknowledged is on the disk",
            sync_binlog=1, innodb_flush_log_at_trx_commit=1, relay_log_recovery=1,
        ),
        _part(
            "waiting for others at each commit lets events orbit in a ring (MDEV-27760)",
            rpl_semi_sync_master_enabled=0, rpl_semi_sync_slave_enabled=0,
        ),
        _part(
            "a dead link is seen in seconds, and tried again for ever",
            slave_net_timeout=NET_TIMEOUT_S, master_retry_count=0,
        ),
        _part(
            "from other servers by TLS alone; the firewall says from whom; no name is looked up",
            bind_address="*", require_secure_transport=1, skip_name_resolve=1,
            ssl_ca=AUTHORITY, ssl_cert=CERTIFICATE, ssl_key=KEY, tls_version="TLSv1.2,TLSv1.3",
        ),
        _part("each server beats its own heart", event_scheduler="ON"),
        _part(
            "sizes from the server's memory, most of which the web server needs",
            innodb_buffer_pool_size=pool * _MIB,
            innodb_log_file_size=min(max(pool // 4, 32), 256) * _MIB,
            max_connections=min(max(memory_bytes // (24 * _MIB), 40), 400),
        ),
    ]  # fmt: skip
    return _HEAD + "\n[mariadbd]\n" + "\n".join(parts)


def number_sql(server: Server) -> str:
    """What MariaDB does first of all when it starts: one statement in each line."""
    number = server.number
    return (
        f"SET GLOBAL read_only = @@global.read_only OR @@global.server_id <> {number:d}"
        f" OR @@global.gtid_domain_id <> {number:d};\n"
    )


#: Variables that no program and no admin may have set otherwise, whatever the file says: on these
#: it rests that no write is lost, applied twice or passed on as something else.
_LIVE = (
    "server_id", "gtid_domain_id", "auto_increment_increment", "auto_increment_offset",
    "log_slave_updates", "binlog_format", "binlog_row_image", "gtid_strict_mode",
    "gtid_ignore_duplicates", "slave_exec_mode", "sync_binlog", "innodb_flush_log_at_trx_commit",
    "require_secure_transport", "event_scheduler",
)  # fmt: skip
#: Numbers that are none: these are on or off.
_SWITCHES = frozenset({
    "log_slave_updates", "gtid_strict_mode", "gtid_ignore_duplicates", "require_secure_transport",
})  # fmt: skip


def live(site: Site, server: Server) -> dict[str, str]:
    """What the variables of a MariaDB that runs have to be, as ``information_schema`` has them."""
    said = dict(
        line.split(" = ") for line in options(site, server, 0).splitlines() if " = " in line
    )
    found = {
        name: ("OFF", "ON")[int(said[name])] if name in _SWITCHES else said[name] for name in _LIVE
    }
    return {**found, "read_only": "OFF"}


def _part(why: str, **settings: str | int) -> str:
    return f"# {why}\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def _pool_mib(memory_bytes: int) -> int:
    """A quarter of the memory, in whole 32 MiB, at least 64."""
    return max(memory_bytes // _MIB // 4 // 32 * 32, 64)
