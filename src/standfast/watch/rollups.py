"""Closed requests counted per route and minute."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, tuple_

from standfast.journal.format import UNKNOWN
from standfast.store import Sketch
from standfast.store.tables import FAILED, SLOW, rollup

MINUTE_NS = 60_000_000_000
_MOST = 2**63 - 1
#: How many roll-ups one statement asks for.
_CHUNK = 200

#: The fixed part of an end record: seq, duration, CPU time, bytes sent, status.
Sample = tuple[int, int, int, int, int]


class Key(NamedTuple):
    """Which roll-up: the route and the minute of the epoch in which the request began."""

    route_id: int
    minute: int


class Rollups:
    """What a batch adds to the roll-ups.

    ``samples`` has the end records of all closed requests by (route, minute): the fast path
    appends to it. ``kept`` counts the slow and the failed among them.
    """

    def __init__(self) -> None:
        self.samples: dict[tuple[int, int], list[Sample]] = {}
        self.kept: dict[tuple[Key, str], int] = {}

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
        key = Key(route_id, begun_ns // MINUTE_NS)
        cpu = UNKNOWN if cpu_ns is None else cpu_ns
        sample = (0, duration_ns, cpu, UNKNOWN if sent is None else sent, 0)
        self.samples.setdefault(key, []).append(sample)
        if outcome in (SLOW, FAILED):
            self.kept[key, outcome] = self.kept.get((key, outcome), 0) + 1

    def store(self, connection: Connection) -> None:
        """Merges everything into the table and forgets it."""
        keys = sorted(self.samples)
        for at in range(0, len(keys), _CHUNK):
            self._store(connection, [Key(*key) for key in keys[at : at + _CHUNK]])
        self.samples.clear()
        self.kept.clear()

    def _store(self, connection: Connection, keys: list[Key]) -> None:
        place = tuple_(rollup.c.route_id, rollup.c.minute)
        stored = {
            Key(row.route_id, row.minute): row
            for row in connection.execute(select(rollup).where(place.in_(keys)))
        }
        inserts, updates = [], []
        for key in keys:
            _, durations, cpus, sents, _ = zip(*self.samples[key], strict=True)
            sketch = Sketch(durations)
            cpu = _known(cpus)
            row = {
                "count": len(durations),
                "failed": self.kept.get((key, FAILED), 0),
                "slow": self.kept.get((key, SLOW), 0),
                "duration_ns": sum(durations),
                "cpu_ns": sum(cpu) if cpu else None,
                "sent": sum(_known(sents)),
            }
            old = stored.get(key)
            if old is not None:
                sketch.merge(Sketch.from_bytes(old.sketch))
                for name in ("count", "failed", "slow", "duration_ns", "sent"):
                    row[name] += getattr(old, name)
                if old.cpu_ns is not None:
                    row["cpu_ns"] = (row["cpu_ns"] or 0) + old.cpu_ns
            # A journal may claim what it likes; a column holds no more than this.
            bounded = {name: value and min(value, _MOST) for name, value in row.items()}
            values = bounded | {"sketch": sketch.to_bytes()}
            if old is None:
                inserts.append(values | key._asdict())
            else:
                updates.append(values | {"of_route": key.route_id, "in_minute": key.minute})
        if inserts:
            connection.execute(rollup.insert(), inserts)
        if updates:
            same = (rollup.c.route_id == bindparam("of_route")) & (
                rollup.c.minute == bindparam("in_minute")
            )
            connection.execute(rollup.update().where(same), updates)


def _known(values: tuple[int, ...]) -> tuple[int, ...]:
    if UNKNOWN in values:
        return tuple(value for value in values if value != UNKNOWN)
    return values
