"""One link: what is not as it shall be about it, and the step that puts it right.

Nothing is asked or changed here; :mod:`heal` says which links there shall be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..inventory import Site
from . import gtid, links
from .actions import (
    Advance,
    Drop,
    HealingStep,
    NeedsPerson,
    PassHole,
    Point,
    Restart,
    Wait,
)
from .layout import Pair
from .observe import Link, Seen

#: The origin no longer has, or does not have yet, what the replica asks it for.
_NOT_IN_LOGS = 1236
#: Of these, the one where its log goes on after a transaction that it lacks, and at which the
#: replica is.
_HOLE = "even though both a prior and a subsequent sequence number does exist"
#: What is to be applied has a number that the replica's own log is past: it has written under
#: another server's, or another server under its.
_OUT_OF_ORDER = 1950
#: The password or the address is not accepted, or the account is not there.
_NOT_LET_IN = frozenset({1045, 1130, 1698, 3159})
#: The SQL thread stopped for a passing reason, or its relay log was torn by a crash: with GTID a
#: restart fetches it anew. Anything else may be two rows that conflict.
_PASSING = frozenset({0, 1053, 1205, 1213, 1594, 1595, 1927, 1964})


def conflicts(link: Link) -> bool:
    """Its SQL thread stopped for what may be two rows that conflict."""
    return link.sql != "Yes" and link.sql_errno not in _PASSING


@dataclass(frozen=True)
class Mending:
    """``fit`` are the servers that are themselves, ``members`` those of them that take part, and
    ``departed`` the numbers of servers all of whose writes are everywhere."""

    site: Site
    fit: Mapping[str, Seen]
    members: Collection[str]
    departed: frozenset[int]

    def steps(self, pair: Pair) -> Iterator[HealingStep]:
        """What puts the link of this pair right; nothing where it runs."""
        replica, origin = self.site.server(pair.replica), self.site.server(pair.origin)
        seen = self.fit[pair.replica]
        link = seen.link(pair.origin)
        ignored = self._ignored(link)
        if link is None or not links.is_right(link, replica, origin, ignored):
            # Of two links to one address MariaDB allows the first alone.
            for other in seen.links:
                if other.name != pair.origin and other.host == str(origin.address):
                    yield Drop(pair.replica, other.name)
            is_there = "there is no such link" if link is None else "it is not as it shall be"
            yield Point(*pair, ignored, is_there)
        elif conflicts(link) and self._has(seen, link.stands_at):
            # Or with a copy of another server's data.
            yield Restart(*pair, f"{link.stands_at}, at which it stands, came by another way")
        elif link.sql != "Yes" and link.sql_errno == _OUT_OF_ORDER:
            yield NeedsPerson(
                pair.replica,
                f"its log already has other transactions in place of some from {pair.origin}; it is"
                f" to be saved and copied anew, by: standfast cluster rejoin {pair.replica}",
            )
        elif conflicts(link):
            what = f"{link.stands_at}, which" if link.stands_at else "what"
            yield NeedsPerson(
                pair.replica,
                f"cannot apply {what} came from {pair.origin} (error {link.sql_errno}), and nothing"
                f" is skipped unseen: {link.sql_error}",
            )
        elif link.io != "Yes" and link.io_errno == _NOT_IN_LOGS:
            yield from self._not_in_logs(seen, link, pair)
        elif link.io != "Yes" and link.io_errno in _NOT_LET_IN and pair.origin in self.fit:
            yield Point(*pair, ignored, f"it is not let in: {link.io_error}")
        elif link.io == "No" or link.sql != "Yes":
            yield Restart(*pair, link.sql_error or link.io_error or "it was stopped")
        elif link.io != "Yes" and pair.origin in self.fit:
            yield Wait(*pair, link.io_error or "it connects")

    @staticmethod
    def _has(seen: Seen, transaction: str) -> bool:
        """It has applied that already: a link that is started again passes over it."""
        return bool(transaction) and gtid.covers(seen.slave_pos, gtid.position(transaction))

    def _not_in_logs(self, seen: Seen, link: Link, pair: Pair) -> Iterator[HealingStep]:
        """Either its origin will have that in a moment; or it never will, and what follows is what
        the replica lacks; or it no longer has it: then it comes from one that does, and the link
        runs as soon as this server is past the gap."""
        origin = self.fit.get(pair.origin)
        gap = self._gap(origin, seen) if origin else {}
        own = seen.domain
        begins = origin.oldest.get(own, 0) if origin else 0
        if seen.slave_pos.get(own, 0) < min(begins, seen.current_pos.get(own, 0)):
            yield Advance(pair.replica)
        elif gap:
            yield self._from_another(seen, pair, gap)
        elif _HOLE in link.io_error and not (origin and origin.went_back):
            yield PassHole(*pair)
        else:
            yield Restart(*pair, "it was asked for what it did not have yet (error 1236)")

    def _from_another(self, seen: Seen, pair: Pair, gap: gtid.Position) -> HealingStep:
        for name in sorted({*self.members} - {*pair}):
            giver = self.fit[name]
            if gtid.covers(giver.position, gap) and not self._gap(giver, seen):
                if seen.link(name) is None:
                    why = f"{pair.origin} no longer has the logs it needs"
                    return Point(seen.name, name, self._ignored(None), why)
                return Wait(*pair, f"{name} gives it what is missing there")
        return NeedsPerson(
            seen.name,
            f"{pair.origin} no longer has the logs that it needs, nor has any other: it is to be "
            f"saved and copied anew, by: standfast cluster rejoin {seen.name}",
        )

    @staticmethod
    def _gap(origin: Seen, replica: Seen) -> dict[int, int]:
        """Where the origin's logs begin, in the domains in which the replica is not so far. What
        the replica wrote itself it has."""
        return {
            domain: sequence
            for domain, sequence in origin.oldest.items()
            if domain != replica.domain and replica.position.get(domain, 0) < sequence
        }

    def _ignored(self, link: Link | None) -> frozenset[int]:
        """What a link leaves out: what it does already too, unless that server is back."""
        before = link.ignored if link else frozenset()
        return (self.departed | before) - {s.number for s in self.site.servers}
