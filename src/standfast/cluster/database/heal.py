"""What is to be done so that the links are as the layout says: from what is observed to steps.

Nothing is asked or changed here. The invariant, whatever is interrupted and wherever:

- A link only ever begins where its replica is by GTID, so no step applies a write twice, takes one
  back or leaves one out. A position is set by a copy alone, on a server that holds nothing; but
  that a server has its own writes is certain, and may be said to it (``Advance``).
- No step takes away a way by which writes come to a server before the ways that shall stay carry
  them: links are made and seen to run first, and superfluous ones are dropped afterwards.
- A server whose own log went back is stopped before anything else, and never copied from.
- ``gtid_strict_mode`` is off on a server only while a link of it starts past a hole in its origin's
  log; where that was interrupted it is on again before anything else.
- What only a person can judge (two rows that conflict, two servers with data of their own, a
  server under another one's number) is said and left as it is.
- Each step is of use by itself. After any of them, or half of one, ``heal`` of what is then
  observed leads to the same layout; where nothing is left to do the list is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..inventory import MOST_SERVERS, Site
from . import gtid, layout
from .actions import (
    Advance,
    Copy,
    CreateDatabase,
    Drop,
    Halt,
    HealingStep,
    NeedsPerson,
    PassHole,
    Point,
    Restart,
    Retire,
    Strict,
    Wait,
)
from .layout import Pair
from .mend import Mending, conflicts
from .observe import Observed, Seen

#: After these a server may get what it lacks as yet.
_MOVES = Point | Restart | PassHole | Advance | Copy


def heal(site: Site, observed: Observed) -> list[HealingStep]:
    """The next steps, in order. Observe again after them: more may follow. ``NeedsPerson`` and
    ``Wait`` change nothing."""
    return list(_Healing(site, observed).steps())


@dataclass
class _Healing:
    site: Site
    observed: Observed
    #: The servers that are themselves, by name.
    fit: dict[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for server in self.site.servers:
            seen = self.observed.seen.get(server.name)
            if seen and seen.logs and seen.server_id == seen.domain == server.number:
                self.fit[server.name] = seen

    def steps(self) -> Iterator[HealingStep]:
        """Copies first, then links, then what is left over."""
        yield from self._misfits()
        yield from (Strict(name) for name, seen in self.fit.items() if not seen.strict)
        yield from self._gone_back()
        members, root, strangers = self._standing()
        yield from strangers
        empty = [one for one in self.fit.values() if one.name not in members]
        if strangers and not members:
            return  # nobody can say whose data is the site's
        if root is not None:
            members = {root}
        copies: list[HealingStep] = []
        if any(self.fit[name].position or self.fit[name].holds_data for name in members):
            for one in empty:
                if one.joining or (one.name not in members and not one.holds_data):
                    copies.append(self._copy(one, members))
        else:
            members = members | {one.name for one in empty if not one.holds_data}
        yield from copies
        made = list(self._links(members))
        yield from made
        yield from self._retired(members)
        if not any(isinstance(step, _MOVES) for step in [*copies, *made]):
            yield from self._databases(members)

    def _misfits(self) -> Iterator[HealingStep]:
        for name, seen in self.observed.seen.items():
            number = self.site.server(name).number
            if name in self.fit:
                continue
            if not seen.logs or seen.server_id == 1 != number and not seen.links:
                words = "MariaDB does not have its options yet: standfast cluster apply"
            else:
                words = (
                    f"MariaDB calls itself number {seen.server_id} (domain {seen.domain}), in the "
                    f"inventory it is {number}. A number never changes: put back the one it had in "
                    "MariaDB's options and restart it; what it has left out meanwhile it gets, and "
                    f"what it wrote is saved, by: standfast cluster rejoin {name}"
                )
            yield NeedsPerson(name, words)

    def _gone_back(self) -> Iterator[HealingStep]:
        """Nothing that such a server writes comes to any other: it stops first, and is asked about
        then."""
        for name, seen in self.fit.items():
            if not seen.went_back or seen.joining:
                continue
            if not seen.read_only:
                yield Halt(name)
            yield NeedsPerson(
                name,
                "its own log has gone back (RESET MASTER, or an old copy of its disk), or it ran"
                " under another number: what it has written since is left out elsewhere, or what"
                " others have, here. It takes no writes; what it alone has"
                f" is saved, and it is copied anew, by: standfast cluster rejoin {name}",
            )

    def _standing(self) -> tuple[set[str], str | None, list[HealingStep]]:
        """Who is in the replication already; else the one server whose data is the site's; and
        those with data that nobody else knows."""
        whole = {name: one for name, one in self.fit.items() if not one.joining}
        members = {name for name, one in whole.items() if one.links or one.slave_pos}
        # The source of a copy, before it has a link itself. One that holds nothing and has neither
        # links nor a position was emptied, whatever its own log says since: a heartbeat, say.
        members |= {
            name
            for name, one in whole.items()
            if one.holds_data and any(self._knows(self.fit[other], one) for other in members)
        }
        holders = [n for n, one in whole.items() if n not in members and one.holds_data]
        if not members and len(holders) == 1:
            return members, holders[0], []
        if not members:
            words = (
                "several servers hold data that the others do not know ({}); keep it on one, "
                "remove the databases of the others, and apply again"
            )
            return (
                members,
                None,
                [NeedsPerson(n, words.format(", ".join(holders))) for n in holders],
            )
        words = (
            "it holds data of its own ({}) and would have to be overwritten by the site's: remove "
            "those databases, or bring them in by hand, and apply again"
        )
        return members, None, [
            NeedsPerson(n, words.format(", ".join(sorted(whole[n].databases)))) for n in holders
        ]  # fmt: skip

    def _knows(self, one: Seen, other: Seen) -> bool:
        """It has taken part in the other one's history."""
        return one is not other and one.slave_pos.get(other.domain, 0) > 0 and bool(other.position)

    def _copy(self, target: Seen, members: set[str]) -> HealingStep:
        """From the member that has most. One that has not all that is known of the target's own
        earlier writes would let it use their numbers once more."""
        sound = [name for name in sorted(members) if not self.fit[name].went_back]
        if not sound:
            return NeedsPerson(target.name, "there is no server whose log is whole to copy it from")
        best = max(sound, key=lambda name: sum(self.fit[name].position.values()))
        others = [one for one in self.fit.values() if one is not target]
        known = max(one.position.get(target.domain, 0) for one in others)
        if known and any(server.name not in self.fit for server in self.site.servers):
            away = ", ".join(s.name for s in self.site.servers if s.name not in self.fit)
            return NeedsPerson(
                target.name,
                f"it is empty, but wrote under its number before; {away}, which may know more of "
                "that, is not there. Bring it up, or take it out of the inventory, first",
            )
        if self.fit[best].position.get(target.domain, 0) < known:
            return Wait(best, target.name, "first all are to know what that one wrote before")
        return Copy(best, target.name)

    def _links(self, members: set[str]) -> Iterator[HealingStep]:
        there = members | {
            link.name
            for name in members
            for link in self.fit[name].links
            if link.io == "Yes" and link.name not in self.fit
        }
        stuck = {n for n in members if any(conflicts(link) for link in self.fit[n].links)}
        wanted = sorted(
            pair
            for pair in layout.links(self.site, there - stuck)
            if pair.replica in members and (pair.origin in members or self._is_known(pair, members))
        )
        mending = Mending(self.site, self.fit, members, self._departed(members))
        made = [step for pair in wanted for step in mending.steps(pair)]
        yield from made
        carried = all(self._carries(pair) for pair in wanted if {*pair} <= there)
        if carried and not made and there <= members:
            for name in sorted(members):
                for link in self.fit[name].links:
                    if Pair(name, link.name) not in wanted and not self._is_empty(link.name):
                        yield Drop(name, link.name)

    def _is_empty(self, name: str) -> bool:
        """A copy will fill it: until then a link from it brings nothing, and is wanted later."""
        return name in self.fit and (self.fit[name].joining or not self.fit[name].holds_data)

    def _carries(self, pair: Pair) -> bool:
        link = self.fit[pair.replica].link(pair.origin)
        return link is not None and link.runs

    def _is_known(self, pair: Pair, members: set[str]) -> bool:
        """Of a server that is away: it has been in the circle before."""
        if pair.origin in self.observed.seen:
            return False
        number = self.site.server(pair.origin).number
        return any(
            number in self.fit[name].position or self.fit[name].link(pair.origin)
            for name in members
        )

    def _departed(self, members: set[str]) -> frozenset[int]:
        """Numbers of servers that have left, all of whose writes are everywhere."""
        if any(server.name not in members for server in self.site.servers):
            return frozenset()
        numbers = {server.number for server in self.site.servers}
        found = {
            domain: {self.fit[name].position.get(domain, 0) for name in members}
            for domain in range(1, MOST_SERVERS + 1)
            if domain not in numbers
        }
        return frozenset(d for d, ends in found.items() if len(ends) == 1 and ends != {0})

    def _retired(self, members: set[str]) -> Iterator[HealingStep]:
        """Where no log holds a departed server's writes any more, its domain is forgotten there."""
        for domain in sorted(self._departed(members)):
            for name in sorted(members):
                end = gtid.position(self.fit[name].binlog_state).get(domain)
                if end is not None and self.fit[name].oldest.get(domain) == end:
                    yield Retire(name, domain)

    def _databases(self, members: set[str]) -> Iterator[HealingStep]:
        """Made once, on one server, from which they go to all."""
        for name in self.site.database.databases:
            holders = [one for one in members if name in self.fit[one].databases]
            if members and not holders:
                first = min(members, key=lambda one: self.site.server(one).number)
                yield CreateDatabase(first, name)
