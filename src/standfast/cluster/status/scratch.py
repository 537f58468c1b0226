"""Proof that the servers replicate: rows are written on each and read on all.

When it may be removed again: a table must outlive, on every server, the last row that is yet to
come there, or that row stops replication with error 1146. A server that has all rows logs its
``DROP`` after them, and whoever reads that log meets them in this order, by whichever way the log
comes. So a server that has all rows removes the table; where none has, it stays, and a later
proof removes it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from standfast.cluster.database import gtid, sql
from standfast.cluster.inventory import MOST_SERVERS, Server, Site
from standfast.cluster.remote import Remote, RemoteError, on_all

#: How long a write may take to all servers before it is missing.
WAIT_S = 15.0
#: A table that is older than this belongs to no proof that still runs.
_LEFT_S = 300
_ROUNDS = 2
_LONGER_S = 15
_REMOVE_S = 5.0
_NAME = re.compile("verify_[0-9a-f]{12}")

Remotes = Mapping[str, Remote | RemoteError]


class Entry(NamedTuple):
    """One row: ``location`` is that of the server that wrote it."""

    id: int
    location: str


@dataclass
class Proof:
    """What was written on each server, in order, what each has of it, and what is wrong."""

    table: str
    written: list[tuple[str, Entry]] = field(default_factory=list)
    read: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    #: The table could not be removed yet.
    left: bool = False


@dataclass(frozen=True)
class _Server:
    """One that answers, and tables of earlier proofs that it still has."""

    leftovers: tuple[str, ...]
    ready: bool


def prove(
    site: Site,
    remotes: Remotes,
    say: Callable[[str], None] = lambda words: None,
    *,
    wait_s: float = WAIT_S,
    left_s: int = _LEFT_S,
) -> Proof:
    """Makes a table on the first server that answers, writes two rows on each that gets it, reads
    them on all, and removes the table, whatever happens meanwhile."""
    table = f"verify_{secrets.token_hex(6)}"
    proof = Proof(table)
    scratch = _Scratch(site, remotes, table, wait_s)
    found = on_all(site.servers, lambda server: scratch.look(server, left_s))
    for name, one in found.items():
        if isinstance(one, RemoteError):
            proof.wrong.append((name, _why(name, one)))
        elif not one.ready:
            proof.wrong.append((name, "has no database `standfast`: run `standfast cluster apply`"))
    there = [server for server in site.servers if isinstance(found[server.name], _Server)]
    if not there or any(isinstance(one, _Server) and not one.ready for one in found.values()):
        return proof
    for name in {t for one in found.values() if isinstance(one, _Server) for t in one.leftovers}:
        if len(there) == len(site.servers) and scratch.remove(name, there):
            say(f"removed what an earlier proof had to leave: standfast.{name}")
    try:
        _write_and_read(scratch, there, proof, say)
    finally:
        proof.left = not scratch.remove(table, there)
        if proof.left:
            say(
                f"standfast.{table} stays: a row of it is still on its way to every server. "
                "`standfast cluster verify` removes it when all is well again."
            )
    return proof


def _write_and_read(
    scratch: _Scratch, there: list[Server], proof: Proof, say: Callable[[str], None]
) -> None:
    say(f"{there[0].name}: makes the table standfast.{proof.table}")
    try:
        made = scratch.make(there[0])
    except RemoteError as error:
        proof.wrong.append((there[0].name, _why(there[0].name, error)))
        return
    got = on_all(there[1:], lambda server: scratch.waits(server, [made]))
    for name, answer in got.items():
        if isinstance(answer, RemoteError):
            proof.wrong.append((name, _why(name, answer)))
        elif not answer:
            proof.wrong.append((name, f"gets nothing of {there[0].name}"))
    there = [server for server in there if got.get(server.name, True) is True]
    # One after the other, in order of their numbers: a counter that has seen a higher number goes
    # on from there, and the second row of one may not come before the first of another.
    for _ in range(_ROUNDS):
        for server in sorted(there, key=lambda server: server.number):
            say(f"{server.name}: writes a row")
            try:
                number = scratch.write(server)
            except RemoteError as error:
                proof.wrong.append((server.name, _why(server.name, error)))
                continue
            proof.written.append((server.name, Entry(number, server.location)))
            if number % MOST_SERVERS != server.number % MOST_SERVERS:
                words = f"made the number {number}, which does not end as its own do"
                proof.wrong.append((server.name, f"{words} ({server.number % MOST_SERVERS})"))
    say("all: read")
    wanted = {entry for _, entry in proof.written}
    for name, rows in on_all(there, scratch.read).items():
        if isinstance(rows, RemoteError):
            proof.wrong.append((name, _why(name, rows)))
            continue
        proof.read[name] = rows
        missing = sorted(wanted - set(rows))
        if missing:
            ids = ", ".join(str(entry.id) for entry in missing)
            proof.wrong.append((name, f"does not have: {ids}"))


def _why(name: str, error: RemoteError) -> str:
    """Without the server's name, which stands beside it."""
    return str(error).removeprefix(f"{name} ")


class _Scratch:
    """The table, and how far each server had come when it last wrote to it."""

    def __init__(self, site: Site, remotes: Remotes, table: str, wait_s: float) -> None:
        self.site = site
        self.remotes = remotes
        self.table = table
        self.wait_s = wait_s
        #: Where each server was after it last wrote; unsure of those whose answer did not come.
        self.positions: dict[str, str] = {}
        self.unsure: set[str] = set()

    def ask(self, server: Server, *statements: str, longer_s: float = 0) -> list[list[sql.Row]]:
        remote = self.remotes[server.name]
        if isinstance(remote, RemoteError):
            raise remote
        return sql.ask(remote, *statements, timeout_s=_LONGER_S + longer_s)

    def look(self, server: Server, left_s: int) -> _Server:
        """Whether a server can take part."""
        schemata, tables = self.ask(
            server,
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'standfast'",
            "SELECT table_name AS name, TIMESTAMPDIFF(SECOND, create_time, NOW()) AS age_s "
            "FROM information_schema.tables WHERE table_schema = 'standfast'",
        )
        names = [row["name"] or "" for row in tables if int(row["age_s"] or 0) >= left_s]
        return _Server(tuple(filter(_NAME.fullmatch, names)), bool(schemata))

    def make(self, server: Server) -> str:
        """Makes the table on a server; the position at which it is there."""
        self.unsure.add(server.name)
        _, (row,) = self.ask(
            server,
            f"CREATE TABLE standfast.{self.table} (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY "
            "KEY, location VARCHAR(60) NOT NULL) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4",
            "SELECT @@last_gtid AS gtid",
        )
        return self.wrote(server, row)

    def write(self, server: Server) -> int:
        """Writes a row on a server; the number that it got."""
        self.unsure.add(server.name)
        _, (row,) = self.ask(
            server,
            f"INSERT INTO standfast.{self.table} (location) VALUES "  # noqa: S608
            f"({sql.text(server.location)})",
            "SELECT LAST_INSERT_ID() AS id, @@last_gtid AS gtid",
        )
        self.wrote(server, row)
        return int(row["id"] or 0)

    def wrote(self, server: Server, row: sql.Row) -> str:
        """Keeps where a server is now."""
        self.positions[server.name] = row["gtid"] or ""
        self.unsure.discard(server.name)
        return self.positions[server.name]

    def waits(self, server: Server, positions: list[str], wait_s: float | None = None) -> bool:
        """Whether a server comes to these positions within the time."""
        wanted = ",".join(filter(None, positions))
        if not wanted:
            return True
        limit_s = self.wait_s if wait_s is None else wait_s
        ((row,),) = self.ask(
            server, f"SELECT MASTER_GTID_WAIT('{wanted}', {limit_s:g}) AS failed",
            longer_s=limit_s,
        )  # fmt: skip
        return row["failed"] == "0"

    def read(self, server: Server) -> tuple[Entry, ...]:
        """The rows that a server has, once those of all others have come, or the time is over."""
        self.waits(server, [at for name, at in self.positions.items() if name != server.name])
        (rows,) = self.ask(
            server,
            f"SELECT id, HEX(location) AS hex FROM standfast.{self.table} ORDER BY id",  # noqa: S608
        )
        return tuple(
            Entry(int(row["id"] or 0), bytes.fromhex(row["hex"] or "").decode()) for row in rows
        )

    def end(self, server: Server, table: str) -> str | None:
        """The last that a server has written itself; None while it is still at work on a table."""
        (work,), (row,) = self.ask(
            server,
            "SELECT COUNT(*) AS left_to_do FROM information_schema.processlist "  # noqa: S608
            f"WHERE id <> CONNECTION_ID() AND info LIKE '%{table}%'",
            "SELECT @@gtid_domain_id AS domain, @@gtid_binlog_pos AS position",
        )
        if work["left_to_do"] != "0":
            return None
        domain = int(row["domain"] or 0)
        last = gtid.position(row["position"] or "").get(domain)
        return f"{domain}-{server.number}-{last}" if last else ""

    def remove(self, table: str, there: list[Server]) -> bool:
        """Removes a table on a server that all of it has come to; it goes from there."""
        ends = on_all(there, lambda server: self.end(server, table))
        known: dict[str, str] = {}
        for name, end in ends.items():
            if end is None:
                return False
            if not isinstance(end, RemoteError):
                known[name] = end
            elif table == self.table and name not in self.unsure:
                known[name] = self.positions.get(name, "")
            else:
                return False

        def has_all(server: Server) -> bool:
            others = [end for name, end in known.items() if name != server.name]
            return self.waits(server, others, min(self.wait_s, _REMOVE_S))

        there = [server for server in there if not isinstance(ends[server.name], RemoteError)]
        answers = on_all(there, has_all)
        for server in there:
            if answers[server.name] is True:
                with contextlib.suppress(RemoteError):
                    self.ask(server, f"DROP TABLE IF EXISTS standfast.{table}")
                    return True
        return False
