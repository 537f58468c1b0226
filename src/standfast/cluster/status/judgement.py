"""What is wrong with a site, in words, from what was seen of it. Nothing is asked here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from standfast.cluster.inventory import Server, Site

from .matrix import Ages, ages
from .seen import Link, Seen, SiteSeen, Unreached

#: What is worth a word: a heartbeat older than this, a disk fuller, a clock further off.
LAG_S = 10.0
DISK = 0.90
CLOCK_S = 1.0

Kind = Literal["unreachable", "service", "database", "heart", "link", "cut", "lag", "disk", "clock"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the server on which it shows."""

    server: str
    kind: Kind
    words: str


def judge(site: Site, seen: SiteSeen) -> list[Finding]:
    """All that is wrong: what stops a server first, then what stops the data between them."""
    old = ages(site, seen)
    found: list[Finding] = []
    for server in site.servers:
        one = seen.servers[server.name]
        if isinstance(one, Unreached):
            found.append(_unreached(site, server, one, old))
        else:
            found += _of_server(server, one, old)
    found += _between(site, seen, old)
    return found


def _unreached(site: Site, server: Server, one: Unreached, old: Ages) -> Finding:
    """Others may know more of a server that is not reached from here."""
    known = {
        reader.name: age
        for reader in site.peers(server)
        if (age := old.get((server.name, reader.name))) is not None
    }
    words = one.why
    if known:
        reader = min(known, key=lambda name: known[name])
        age = known[reader]
        words += (
            f"; but it lives: {reader} has a heartbeat of {age:.1f} s ago"
            if age <= LAG_S
            else f"; its last heartbeat came {since(age)} ago, on {reader}"
        )
    return Finding(server.name, "unreachable", words)


def _of_server(server: Server, one: Seen, old: Ages) -> Iterator[Finding]:
    name = server.name
    for unit, state in one.services.items():
        if state != "active":
            yield Finding(name, "service", f"{unit} is {state}")
    if one.replica is None:
        if one.services.get("mariadb", "active") == "active":
            yield Finding(name, "database", f"the database does not answer: {one.database_error}")
    else:
        if not _beats(old, name):
            age = old[name, name]
            last = "none ever came" if age is None else f"the last was {since(age)} ago"
            words = f"it makes no heartbeats ({last}): is event_scheduler on?"
            yield Finding(name, "heart", words)
        for link in one.replica.links or ():
            if not link.runs:
                yield Finding(name, "link", _stopped(link))
    for disk in one.disks:
        if disk.used > DISK:
            words = (
                f"{disk.path} is {100 * disk.used:.0f} % full, {disk.free_b / 2**30:.1f} GiB left"
            )
            yield Finding(name, "disk", words)
    if abs(one.clock.offset_s) - one.clock.accuracy_s > CLOCK_S:
        ahead = "ahead of" if one.clock.offset_s > 0 else "behind"
        words = (
            f"its clock is {abs(one.clock.offset_s):.1f} s {ahead} this machine's "
            f"(± {one.clock.accuracy_s:.1f} s)"
        )
        yield Finding(name, "clock", words)


def _stopped(link: Link) -> str:
    state = {
        (False, True): "does not receive",
        (True, False): "receives but does not apply",
        (False, False): "does not run",
    }[link.reads, link.applies]
    return f"the link from {link.peer} {state}" + (f": {link.error}" if link.error else "")


def _between(site: Site, seen: SiteSeen, old: Ages) -> Iterator[Finding]:
    """Who gets nothing of whom, and who is behind whom though the way is open."""
    replicas = seen.replicas()
    edges = {
        (link.peer, reader)
        for reader, replica in replicas.items()
        for link in replica.links or ()
        if link.runs
    }
    for reader, replica in replicas.items():
        cut: dict[bool, list[str]] = defaultdict(list)
        for origin in site.peers(site.server(reader)):
            age = old[origin.name, reader]
            if (age is not None and age <= LAG_S) or not _alive(site, seen, old, origin):
                continue
            open_way = replica.links is not None and _leads(edges, origin.name, reader)
            if open_way and age is not None:
                words = f"is {since(age)} behind {origin.name}"
                yield Finding(reader, "lag", words)
            else:
                cut[age is None].append(origin.name)
        if cut[False]:
            yield Finding(reader, "cut", f"gets nothing of {_listed(cut[False])}")
        if cut[True]:
            yield Finding(reader, "cut", f"never got anything of {_listed(cut[True])}")


def _alive(site: Site, seen: SiteSeen, old: Ages, origin: Server) -> bool:
    """Whether a server's heart beats, as far as anybody knows: what is dead cuts nobody off."""
    readers = [origin, *site.peers(origin)]
    return any(_fresh(old.get((origin.name, reader.name))) for reader in readers)


def _beats(old: Ages, name: str) -> bool:
    return _fresh(old.get((name, name)))


def _fresh(age: float | None) -> bool:
    return age is not None and age <= LAG_S


def _leads(edges: Iterable[tuple[str, str]], origin: str, reader: str) -> bool:
    """Whether links that run lead from one server to another, past others if need be."""
    ways = set(edges)
    reached = {origin}
    while more := {to for start, to in ways if start in reached} - reached:
        reached |= more
    return reader in reached


def since(age_s: float) -> str:
    """A time that has passed, in the unit that suits it."""
    if age_s < 120:
        return f"{age_s:.0f} s"
    if age_s < 7200:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3600:.0f} h" if age_s < 172_800 else f"{age_s / 86400:.0f} days"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
