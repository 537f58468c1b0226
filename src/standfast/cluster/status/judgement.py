"""What is wrong with a site, in words, from what was seen of it. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from standfast.cluster.database import layout
from standfast.cluster.inventory import Server, Site

from . import tables
from .matrix import ages
from .seen import Link, Replica, Seen, SiteSeen, Unreached

#: What is worth a word: a heartbeat older than this, a disk fuller, a clock further off.
LAG_S = 10.0
DISK = 0.90
CLOCK_S = 1.0

Kind = Literal[
    "unreachable", "service", "force", "database", "heart", "link", "cut", "lag", "table", "disk",
    "clock",
]  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the server on which it shows."""

    server: str
    kind: Kind
    words: str


def judge(site: Site, seen: SiteSeen) -> list[Finding]:
    """All that is wrong, server by server: what stops it first, then what does not get to it."""
    return list(_Judge(site, seen).findings())


class _Judge:
    def __init__(self, site: Site, seen: SiteSeen) -> None:
        self.site = site
        self.seen = seen
        self.ages = ages(site, seen)
        self.replicas = seen.replicas()
        # Those that shall always be: which others close a broken circle is for `heal` to say.
        self.wanted = layout.links(site, [server.name for server in site.servers])
        self.ways = {
            (link.peer, reader)
            for reader, replica in self.replicas.items()
            for link in replica.links
            if link.runs
        }

    def findings(self) -> Iterator[Finding]:
        for server in self.site.servers:
            one = self.seen.servers[server.name]
            if isinstance(one, Unreached):
                yield self.unreached(server, one)
                continue
            yield from _services(server.name, one)
            for words in one.otherwise:
                yield Finding(server.name, "force", f"it is not so that {words}")
            if one.replica is not None:
                yield from self.heart(server.name)
                yield from self.links(server.name, one.replica)
                yield from self.missed(server)
            yield from (Finding(server.name, "table", words) for words in self.tables(server.name))
            yield from _machine(server.name, one)

    def tables(self, name: str) -> Iterator[str]:
        """What differs is said where it does, what is unsafe of the first server that has it."""
        known = {each: one.tables for each, one in self.seen.reached().items()}
        yield from (words for server, words in tables.differing(known) if server == name)
        told = {
            table for each in takewhile(lambda one: one != name, known) for table in known[each]
        }
        yield from tables.unsafe({t: one for t, one in known[name].items() if t not in told})

    def unreached(self, server: Server, one: Unreached) -> Finding:
        """Others may know more of a server that is not reached from here."""
        known = [
            (age, reader)
            for (origin, reader), age in self.ages.items()
            if origin == server.name and age is not None
        ]
        return Finding(server.name, "unreachable", one.why + heard(known))

    def heart(self, name: str) -> Iterator[Finding]:
        """Whether it writes what the others read."""
        age = self.ages[name, name]
        if age is None or age > LAG_S:
            last = "none ever came" if age is None else f"the last was {since(age)} ago"
            words = f"it makes no heartbeats ({last}): is event_scheduler on?"
            yield Finding(name, "heart", words)

    def links(self, name: str, replica: Replica) -> Iterator[Finding]:
        """Links that stopped or are not there. That one waits for a server that is dead is no
        fault of its own."""
        for link in replica.links:
            waits = link.applies and link.peer not in self.replicas and not self.alive(link.peer)
            if not link.runs and not waits:
                yield Finding(name, "link", _stopped(link))
        for peer in sorted(pair.origin for pair in self.wanted if pair.replica == name):
            if all(link.peer != peer for link in replica.links):
                yield Finding(name, "link", f"there is no link from {peer}")

    def missed(self, reader: Server) -> Iterator[Finding]:
        """Of whom it gets nothing, and whom it is behind though the way is open. Nobody misses
        what a dead server does not write."""
        gone: list[str] = []
        never: list[str] = []
        for origin in self.site.peers(reader):
            age = self.ages[origin.name, reader.name]
            if _fresh(age) or not self.alive(origin.name):
                continue
            if age is None:
                never.append(origin.name)
            elif self.leads(origin.name, reader.name):
                yield Finding(reader.name, "lag", f"is {since(age)} behind {origin.name}")
            else:
                gone.append(origin.name)
        if gone:
            yield Finding(reader.name, "cut", f"gets nothing of {_listed(gone)}")
        if never:
            yield Finding(reader.name, "cut", f"never got anything of {_listed(never)}")

    def alive(self, name: str) -> bool:
        """Whether a server's heart beats, as far as anybody knows."""
        return any(_fresh(age) for (origin, _), age in self.ages.items() if origin == name)

    def leads(self, origin: str, reader: str) -> bool:
        """Whether links that run lead from one server to another, past others if need be."""
        reached = {origin}
        while more := {to for start, to in self.ways if start in reached} - reached:
            reached |= more
        return reader in reached


def _services(name: str, one: Seen) -> Iterator[Finding]:
    units: dict[str, list[str]] = {}
    for unit, state in one.services.items():
        units.setdefault(state, []).append(unit)
    units.pop("active", None)
    for state, which in units.items():
        verb = "is" if len(which) == 1 else "are"
        yield Finding(name, "service", f"{_listed(which)} {verb} {state}")
    if one.replica is None and one.services.get("mariadb", "active") == "active":
        yield Finding(name, "database", f"the database does not answer: {one.database_error}")


def _machine(name: str, one: Seen) -> Iterator[Finding]:
    for disk in one.disks:
        if disk.used > DISK:
            left = f"{disk.free_b / 2**30:.1f} GiB"
            words = f"{disk.path} is {100 * disk.used:.0f} % full, {left} left"
            yield Finding(name, "disk", words)
    off = one.clock.offset_s
    if abs(off) - one.clock.accuracy_s > CLOCK_S:
        side = "ahead of" if off > 0 else "behind"
        sure = f"± {one.clock.accuracy_s:.1f} s"
        words = f"its clock is {abs(off):.1f} s {side} this machine's ({sure})"
        yield Finding(name, "clock", words)


def _stopped(link: Link) -> str:
    state = {
        (False, True): "does not receive",
        (True, False): "receives but does not apply",
        (False, False): "does not run",
    }[link.reads, link.applies]
    return f"the link from {link.peer} {state}" + (f": {link.error}" if link.error else "")


def _fresh(age_s: float | None) -> bool:
    return age_s is not None and age_s <= LAG_S


def heard(known: Sequence[tuple[float, str]]) -> str:
    """What others know of a server that is not reached, to be put behind the reason; nothing where
    they know nothing. ``known``: how old, in seconds, its newest heartbeat is, and on whom."""
    if not known:
        return ""
    age, reader = min(known)
    if age <= LAG_S:
        return f"; but it lives: {reader} has a heartbeat of {age:.1f} s ago"
    return f"; its last heartbeat came {since(age)} ago, on {reader}"


def since(age_s: float) -> str:
    """A time that has passed, in the unit that suits it."""
    if age_s < 120:
        return f"{age_s:.0f} s"
    if age_s < 7200:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3600:.0f} h" if age_s < 172_800 else f"{age_s / 86400:.0f} days"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
