"""What is so on the servers, as data: who answers, how far each has come, and every link."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..inventory import Site
from ..remote import Remote, RemoteError, on_all
from ..status.heartbeat import CHECK_SQL, WENT_BACK_SQL
from . import gtid, sql
from .sql import Row

#: Databases that every MariaDB has, and the tool's own.
OWN_DATABASE = "standfast"
JOINING_DATABASE = "standfast_joining"
_SYSTEM = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
_OURS = frozenset({OWN_DATABASE, JOINING_DATABASE})


@dataclass(frozen=True)
class Link:
    """One server's replication from one other, as ``SHOW ALL SLAVES STATUS`` has it.

    ``io`` is ``Yes``, ``No``, ``Connecting`` or ``Preparing``; ``sql`` is ``Yes`` or ``No``.
    """

    name: str
    host: str
    port: int
    user: str
    io: str
    sql: str
    io_errno: int = 0
    io_error: str = ""
    sql_errno: int = 0
    sql_error: str = ""
    using_gtid: str = "Slave_Pos"
    tls: bool = True
    ignored: frozenset[int] = frozenset()
    behind_s: float | None = None
    #: The transaction at which its SQL thread stopped with an error, where that could be found.
    stands_at: str = ""

    @property
    def runs(self) -> bool:
        """Both its threads run, and it is connected."""
        return self.io == "Yes" and self.sql == "Yes"


@dataclass(frozen=True)
class Account:
    """Who may log in to a server. ``password_hash`` is None where no password is asked for in
    this way, empty where an empty one does; ``others`` counts its rights on single databases,
    tables, columns and routines, and its roles."""

    user: str
    host: str
    password_hash: str | None
    subject: str = ""
    privileges: str = ""
    locked: bool = False
    socket: bool = False
    role: bool = False
    others: int = 0


@dataclass(frozen=True)
class Seen:
    """A server that answers. ``oldest`` is where its binary logs begin: of what lies at or before
    it there is nothing to be had here any more."""

    name: str
    server_id: int
    domain: int
    logs: bool
    slave_pos: gtid.Position
    binlog_pos: gtid.Position
    current_pos: gtid.Position
    binlog_state: str
    oldest: gtid.Position
    links: tuple[Link, ...]
    accounts: tuple[Account, ...] = ()
    databases: Mapping[str, int] = field(default_factory=dict)
    joining: bool = False
    #: Everybody may do anything in databases named ``test…``, as MariaDB comes.
    open_test: bool = False
    #: It has the tool's own table, and its heart beats.
    beats: bool = False
    #: Its own log is behind what it was: it was reset, or set back with the whole disk. Its next
    #: writes bear numbers that the others have seen, and are left out there.
    went_back: bool = False
    read_only: bool = False
    #: ``gtid_strict_mode`` is on.
    strict: bool = True
    version: str = ""

    @property
    def position(self) -> dict[int, int]:
        """How far it has come in each domain, its own and those of others."""
        return gtid.furthest(self.slave_pos, self.binlog_pos)

    @property
    def holds_data(self) -> bool:
        """It has a database that is neither MariaDB's nor the tool's own, other than an empty one
        named ``test``."""
        return any(
            tables or name != "test" for name, tables in self.databases.items() if name not in _OURS
        )

    def link(self, name: str) -> Link | None:
        """Its link of this name, if there is one."""
        return next((link for link in self.links if link.name == name), None)


@dataclass(frozen=True)
class Away:
    """A server of which nothing is known from here. ``reached``: it is there, its database does
    not answer."""

    name: str
    why: str
    reached: bool = False


@dataclass(frozen=True)
class Observed:
    """All servers of a site, by name."""

    servers: Mapping[str, Seen | Away]

    @property
    def seen(self) -> dict[str, Seen]:
        """Those that answer."""
        return {n: one for n, one in self.servers.items() if isinstance(one, Seen)}


Remotes = Mapping[str, Remote | RemoteError]

_STATE = """\
SELECT @@global.server_id AS server_id, @@global.gtid_domain_id AS domain,
  @@global.log_bin AS log_bin, @@global.gtid_slave_pos AS slave_pos,
  @@global.gtid_binlog_pos AS binlog_pos, @@global.gtid_current_pos AS current_pos,
  @@global.gtid_binlog_state AS binlog_state, @@global.read_only AS read_only,
  @@global.gtid_strict_mode AS strict, @@version AS version"""
# Rights on databases, tables, columns and routines, and roles, beside those on all (``Priv``).
_ACCOUNTS = """\
SELECT g.User AS user, g.Host AS host, g.Priv AS priv,
  (SELECT COUNT(*) FROM mysql.db o WHERE o.User = g.User AND o.Host = g.Host)
  + (SELECT COUNT(*) FROM mysql.tables_priv o WHERE o.User = g.User AND o.Host = g.Host)
  + (SELECT COUNT(*) FROM mysql.columns_priv o WHERE o.User = g.User AND o.Host = g.Host)
  + (SELECT COUNT(*) FROM mysql.procs_priv o WHERE o.User = g.User AND o.Host = g.Host)
  + (SELECT COUNT(*) FROM mysql.roles_mapping o WHERE o.User = g.User AND o.Host = g.Host)
  AS others
FROM mysql.global_priv g"""
_DATABASES = """\
SELECT s.schema_name AS name, COUNT(t.table_name) AS tables
FROM information_schema.schemata s
LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name
GROUP BY s.schema_name"""
_OPEN_TEST = """\
SELECT COUNT(*) AS grants FROM mysql.db
WHERE User IN ('', 'PUBLIC') AND (Db = 'test' OR Db LIKE 'test\\_%')"""
_LINKS = "SHOW ALL SLAVES STATUS"
# Of the oldest log, which is the one that is shown where none is named.
_FIRST_EVENTS = "SHOW BINLOG EVENTS LIMIT 3"


def observe(site: Site, remotes: Remotes) -> Observed:
    """Asks all servers at once. One that does not answer is ``Away``; nothing is raised for it."""

    def one(name: str) -> Seen:
        remote = remotes[name]
        if isinstance(remote, RemoteError):
            raise remote
        return look(name, remote)

    found = on_all(site.servers, lambda server: one(server.name))
    seen = {name: each for name, each in found.items() if isinstance(each, Seen)}
    suspects = {name: known for name in seen if (known := _known_beyond(seen, name))}
    again = on_all([site.server(name) for name in suspects], lambda server: one(server.name))
    for name, each in again.items():
        # Whoever was asked first may have written before the others were: asked again, it has that.
        if isinstance(each, Seen):
            behind = each.binlog_pos.get(each.domain, 0) < suspects[name]
            found = {**found, name: replace(each, went_back=each.went_back or behind)}
    return Observed({
        name: Away(name, str(seen), seen.reached) if isinstance(seen, RemoteError) else seen
        for name, seen in found.items()
    })  # fmt: skip


def _known_beyond(seen: Mapping[str, Seen], name: str) -> int:
    """How far others know a server's own writes where its own log is not that far; else 0. Of one
    that was emptied nothing else is to be expected."""
    one = seen[name]
    if one.joining or not one.holds_data or not (one.links or one.slave_pos):
        return 0
    known = [other.position.get(one.domain, 0) for other in seen.values() if other is not one]
    furthest = max(known, default=0)
    return furthest if furthest > one.binlog_pos.get(one.domain, 0) else 0


def look(name: str, remote: Remote) -> Seen:
    """One server. Raises RemoteError where it or its database does not answer."""
    (state,), links, accounts, databases, (beats,), (grants,), events = sql.ask(
        remote, _STATE, _LINKS, _ACCOUNTS, _DATABASES, CHECK_SQL, _OPEN_TEST, _FIRST_EVENTS,
        timeout_s=20,
    )  # fmt: skip
    tables = {row["name"] or "": int(row["tables"] or 0) for row in databases}
    beating = next(iter(beats.values())) == "1"
    try:
        went_back = sql.ask(remote, WENT_BACK_SQL)[0][0]["went_back"] == "1"
    except sql.SqlError:  # it has no such table, or an older one, yet
        went_back = False
    return Seen(
        name=name,
        server_id=int(state["server_id"] or 0),
        domain=int(state["domain"] or 0),
        logs=state["log_bin"] == "1",
        slave_pos=gtid.position(state["slave_pos"] or ""),
        binlog_pos=gtid.position(state["binlog_pos"] or ""),
        current_pos=gtid.position(state["current_pos"] or ""),
        binlog_state=(state["binlog_state"] or "").replace("\n", ""),
        oldest=_oldest(events),
        links=tuple(_standing(remote, link_of(row), row) for row in links),
        accounts=tuple(account_of(row) for row in accounts),
        databases={name: count for name, count in tables.items() if name not in _SYSTEM},
        joining=JOINING_DATABASE in tables,
        open_test=grants["grants"] != "0",
        beats=beating,
        went_back=went_back,
        read_only=state["read_only"] == "1",
        strict=state["strict"] == "1",
        version=state["version"] or "",
    )


def _oldest(events: list[Row]) -> gtid.Position:
    """The list of positions at the head of the oldest log."""
    for event in events:
        if event["Event_type"] == "Gtid_list":
            return gtid.position((event["Info"] or "").strip("[]"))
    return {}


def _standing(remote: Remote, link: Link, row: Row) -> Link:
    """With the transaction at which it stopped, by its relay log. Raises RemoteError."""
    if link.sql != "No" or not link.sql_errno:
        return link
    try:
        asked = f"{sql.quoted(link.name)} EVENTS IN {sql.quoted(row['Relay_Log_File'] or '')}"
        begins = int(row["Relay_Log_Pos"] or 0)
        (events,) = sql.ask(remote, f"SHOW RELAYLOG {asked} FROM {begins:d} LIMIT 1")
    except (sql.SqlError, ValueError):  # the log is gone, or named as none of ours
        return link
    found = [gtid.named(event["Info"] or "") for event in events if event["Event_type"] == "Gtid"]
    return replace(link, stands_at=found[0]) if found else link


def link_of(row: Row) -> Link:
    """A row of ``SHOW ALL SLAVES STATUS``."""

    def number(column: str) -> int:
        return int(row.get(column) or 0)

    def text(column: str) -> str:
        return row.get(column) or ""

    behind = row.get("Seconds_Behind_Master")
    return Link(
        name=text("Connection_name"),
        host=text("Master_Host"),
        port=number("Master_Port"),
        user=text("Master_User"),
        io=text("Slave_IO_Running"),
        sql=text("Slave_SQL_Running"),
        io_errno=number("Last_IO_Errno"),
        io_error=text("Last_IO_Error"),
        sql_errno=number("Last_SQL_Errno"),
        sql_error=text("Last_SQL_Error"),
        using_gtid=text("Using_Gtid"),
        tls=text("Master_SSL_Allowed") == "Yes" and text("Master_SSL_Verify_Server_Cert") == "Yes",
        ignored=frozenset(
            int(one) for one in text("Replicate_Ignore_Server_Ids").split(",") if one.strip()
        ),
        behind_s=None if behind is None else float(behind),
    )


def account_of(row: Row) -> Account:
    """A row of ``mysql.global_priv``, whose column ``Priv`` is JSON."""
    given = json.loads(row["priv"] or "{}")
    role = bool(given.get("is_role"))
    ways = [{**given, **way} for way in given.get("auth_or", [])] or [given]
    hashes = [
        str(way.get("authentication_string", ""))
        for way in ways
        if way.get("plugin", "") in ("", "mysql_native_password", "mysql_old_password", "ed25519")
    ]
    return Account(
        user=row["user"] or "",
        host=row["host"] or "",
        password_hash=None if role or not hashes else min(hashes),
        subject=str(given.get("x509_subject", "")),
        privileges=str(given.get("access", 0)),
        locked=bool(given.get("account_locked")),
        socket=any(way.get("plugin") == "unix_socket" for way in ways),
        role=role,
        others=int(row.get("others") or 0),
    )
