"""Closed requests counted per route and minute, and from that per hour and day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select

from standfast.journal.format import UNKNOWN
from standfast.store import Sketch
from standfast.store.period import DAYS, HOURS, MINUTE_NS, MINUTES, Span
from standfast.store.tables import FAILED, SLOW

from .bounds import MOST
from .failures import Failures

#: How many roll-ups one statement asks for.
_CHUNK = 200

#: The fixed part of an end record: seq, duration, CPU time, bytes sent, status, background.
Sample = tuple[int, int, int, int, int, int]


class Key(NamedTuple):
    """Which roll-up: the route and the minute of the epoch in which the request began, or the
    hour, or the day."""

    route_id: int
    minute: int


class Rollups:
    """What a batch adds to the roll-ups.

    ``samples`` has the end records of all closed requests by (route, minute), ``slow`` and
    ``failed`` the (route, minute) of each that was: the fast path appends to them. ``failures``
    are the failed ones by where the error comes from.
    """

    def __init__(self) -> None:
        self.samples: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
        self.slow: list[tuple[int, int]] = []
        self.failed: list[tuple[int, int]] = []
        self.failures = Failures()

    def add(
        self,
        route_id: int,
        begun_ns: int,
        duration_ns: int,
        cpu_ns: int | None,
        sent: int | None,
        outcome: str,
    ) -> None:
        """Counts one request."""
        key = (route_id, begun_ns // MINUTE_NS)
        cpu = UNKNOWN if cpu_ns is None else cpu_ns
        sample = (0, duration_ns, cpu, UNKNOWN if sent is None else sent, 0, 0)
        self.samples[key].append(sample)
        if outcome == SLOW:
            self.slow.append(key)
        elif outcome == FAILED:
            self.failed.append(key)

    def store(self, connection: Connection) -> None:
        """Merges everything into the tables and forgets it."""
        slow, failed = Counter(self.slow), Counter(self.failed)
        sums = {
            Key(*key): _sum(self.samples[key], slow[key], failed[key])
            for key in sorted(self.samples)
        }
        # All of them before any is stored: storing merges what the table holds into a sum.
        coarser = [(span, _coarser(sums, span.length_ns // MINUTE_NS)) for span in (HOURS, DAYS)]
        for span, added in ((MINUTES, sums), *coarser):
            _store(connection, span, added)
        self.failures.store(connection)
        self.samples.clear()
        self.slow.clear()
        self.failed.clear()


class Sum(NamedTuple):
    """The columns of a roll-up by name, and its sketch. Of ``cpu_ns`` None says that it is of no
    request known."""

    counts: dict[str, int | None]
    sketch: Sketch

    def merge(self, counts: Mapping[str, int | None], sketch: Sketch) -> None:
        """Takes in another."""
        for name, value in counts.items():
            if value is not None:
                self.counts[name] = (self.counts[name] or 0) + value
        self.sketch.merge(sketch)


def _sum(samples: list[Sample], slow: int, failed: int) -> Sum:
    _, durations, cpus, sents, _, _ = zip(*samples, strict=True)
    cpu = _known(cpus)
    counts = {
        "count": len(durations),
        "failed": failed,
        "slow": slow,
        "duration_ns": sum(durations),
        "cpu_ns": sum(cpu) if cpu else None,
        "sent": sum(_known(sents)),
    }
    return Sum(counts, Sketch(durations))


def _coarser(sums: Mapping[Key, Sum], minutes: int) -> dict[Key, Sum]:
    """The same over stretches of so many minutes."""
    found: dict[Key, Sum] = {}
    for key, one in sums.items():
        wide = Key(key.route_id, key.minute // minutes)
        if wide not in found:
            found[wide] = Sum(dict.fromkeys(one.counts), Sketch())
        found[wide].merge(one.counts, one.sketch)
    return found


def _store(connection: Connection, span: Span, sums: dict[Key, Sum]) -> None:
    keys = sorted(sums)
    for at in range(0, len(keys), _CHUNK):
        _store_some(connection, span, {key: sums[key] for key in keys[at : at + _CHUNK]})


def _store_some(connection: Connection, span: Span, sums: dict[Key, Sum]) -> None:
    table, number = span.table, span.number
    by_route: dict[int, list[int]] = {}
    for route_id, at in sums:
        by_route.setdefault(route_id, []).append(at)
    # For pairs with IN, SQLite would read the whole table.
    ours = [(table.c.route_id == one) & number.in_(those) for one, those in by_route.items()]
    wanted = select(table, number.label("number")).where(or_(*ours))
    stored = {Key(row.route_id, row.number): row for row in connection.execute(wanted)}
    inserts, updates = [], []
    for key, one in sums.items():
        old = stored.get(key)
        if old is not None:
            known = {name: getattr(old, name) for name in one.counts}
            one.merge(known, Sketch.from_bytes(old.sketch))
        # A journal may claim what it likes; a column holds no more than this.
        values: dict[str, Any] = {
            name: value and min(value, MOST) for name, value in one.counts.items()
        }
        values["sketch"] = one.sketch.to_bytes()
        if old is None:
            inserts.append(values | {"route_id": key.route_id, number.key: key.minute})
        else:
            updates.append(values | {"of_route": key.route_id, "in_span": key.minute})
    if inserts:
        connection.execute(table.insert(), inserts)
    if updates:
        same = (table.c.route_id == bindparam("of_route")) & (number == bindparam("in_span"))
        connection.execute(table.update().where(same), updates)


def _known(values: tuple[int, ...]) -> tuple[int, ...]:
    if UNKNOWN in values:
        return tuple(value for value in values if value != UNKNOWN)
    return values
