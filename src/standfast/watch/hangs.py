"""Hangs that nobody ends: a worker lives, and a request of it has been open for too long.

Such a worker gets an incident of the kind ``hang``. Whether a request has been seen to hang is
written in the store (``request.incident_id``), so a watcher that starts anew says nothing twice.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, select, update

from standfast.record.request import PROGRESS_EVERY_NS
from standfast.store import writing
from standfast.store.evidence import HANG, Fact, Source, add_facts
from standfast.store.tables import HANG as HANG_INCIDENT
from standfast.store.tables import OPEN, SLOW, UNFINISHED, incident, request, worker

from .evidence import Living
from .evidence.stack import Exchange, Question, Stacks
from .waits import SENDING

#: Stacks are taken so often of one worker at most, and so many requests of it are told of: where
#: all hang, the first ones say why.
_MOST_STACKS = 5
_MOST_FACTS = 20
#: So many requests of a route that took as long make it usual.
_USUAL = 3
#: Of so many that went on it is said that they did.
_MOST_OVER = 1000
#: The wall clock may move this much against the monotonic one, in nanoseconds.
_CLOCK_NS = 1_000_000_000


class Watched(NamedTuple):
    """A worker that lives, its application, from when on a request of it hangs, and the ages at
    which its requests, by their numbers, last sent a part of their response."""

    living: Living
    application_id: int
    hang_ns: int
    progress: Mapping[int, int]


class Hangs:
    """Finds the hangs of living workers. Their journals must have been read to the end.

    A request hangs that is open for too long and sends nothing, unless it is one that lives long: a
    WebSocket, an event stream, or one of a route whose requests have taken as long before.
    """

    def __init__(self, stacks: Stacks, moment: Callable[[Living], list[Fact]]) -> None:
        """``stacks`` is asked about the dead by others; ``moment`` tells what is to be seen of a
        worker now."""
        self._stacks = stacks
        self._moment = moment
        self._started_ns = time.time_ns()
        self._stacks_of: Counter[int] = Counter()
        self._facts_of: Counter[int] = Counter()
        self._over: set[int] = set()
        self._clocks = (time.time_ns(), time.monotonic_ns())
        self._since_ns = 0

    def see(self, engine: Engine, workers: Sequence[Watched]) -> None:
        """Enters what hangs now, what has gone on, and the stacks that have come."""
        now_ns = self._now_ns()
        known = {each.living.worker_id: each for each in workers}
        self._stacks_of = Counter({k: n for k, n in self._stacks_of.items() if k in known})
        self._facts_of = Counter({k: n for k, n in self._facts_of.items() if k in known})
        with engine.connect() as connection:
            hanging = self._hanging(connection, known, now_ns)
            over = self._went_on(connection, known)
        # Asked for before the store is locked.
        moments = {worker_id: self._moment(known[worker_id].living) for worker_id in hanging}
        stacks = self._stacks.taken()
        new = [row for row in over if row.id not in self._over]
        if hanging or new or stacks:
            with writing(engine) as connection:
                for worker_id, rows in hanging.items():
                    self._enter(connection, known[worker_id], rows, now_ns)
                    add_facts(connection, worker_id, moments[worker_id])
                for row in new:
                    add_facts(connection, row.worker_id, [_over_fact(row)])
                for worker_id, fact in stacks:
                    add_facts(connection, worker_id, [fact])
        self._over = {row.id for row in over}
        for worker_id, rows in hanging.items():
            self._ask(known[worker_id], rows)

    def _now_ns(self) -> int:
        """The wall clock. When it jumps, or the host has slept, ages are counted from then on."""
        clocks = time.time_ns(), time.monotonic_ns()
        before, self._clocks = self._clocks, clocks
        if abs((clocks[0] - before[0]) - (clocks[1] - before[1])) > _CLOCK_NS:
            self._since_ns = clocks[0]
        return clocks[0]

    def _hanging(
        self, connection: Connection, known: Mapping[int, Watched], now_ns: int
    ) -> dict[int, list[Row[Any]]]:
        """The requests that hang and have not been told of, by worker, the oldest first."""
        wanted = (
            select(request, worker.c.uid)
            .join(worker, worker.c.id == request.c.worker_id)
            .where(
                request.c.worker_id.in_(known),
                request.c.outcome == OPEN,
                request.c.incident_id.is_(None),
                # Complete responses whose code runs on are background work.
                request.c.duration_ns.is_(None),
                request.c.kind == "http",
                # Where a record is missing, it may have been the one that closed a request.
                worker.c.damaged == 0,
                worker.c.lost == 0,
            )
            .order_by(request.c.begun_ns, request.c.id)
        )
        found = defaultdict(list)
        for row in connection.execute(wanted).all():
            each = known[row.worker_id]
            silent_ns = now_ns - max(self._last_sent_ns(row, each), self._since_ns)
            if silent_ns >= each.hang_ns and not _is_usual(connection, row, now_ns):
                found[row.worker_id].append(row)
        return found

    def _last_sent_ns(self, row: Row[Any], each: Watched) -> int:
        """When a request last sent something; when it began, if it has not."""
        if row.seq in each.progress:
            # More may have been sent since: the recorder says so every few seconds only.
            return int(row.begun_ns + each.progress[row.seq] + PROGRESS_EVERY_NS)
        # It had sent something before this watcher started: it has its time from then on.
        return self._started_ns if row.sent is not None else int(row.begun_ns)

    def _enter(
        self, connection: Connection, each: Watched, rows: list[Row[Any]], now_ns: int
    ) -> None:
        worker_id = each.living.worker_id
        incident_id = connection.execute(
            select(incident.c.id).where(incident.c.worker_id == worker_id)
        ).scalar()
        if incident_id is None:
            made = connection.execute(
                incident.insert().values(
                    worker_id=worker_id,
                    application_id=each.application_id,
                    died_ns=now_ns,
                    kind=HANG_INCIDENT,
                )
            )
            (incident_id,) = made.inserted_primary_key or (None,)
        mine = request.c.id.in_([row.id for row in rows])
        connection.execute(update(request).where(mine).values(incident_id=incident_id))
        told = rows[: max(_MOST_FACTS - self._facts_of[worker_id], 0)]
        self._facts_of[worker_id] += len(told)
        # Two facts of one kind and source need two times.
        facts = [_hang_fact(row, each, now_ns + at) for at, row in enumerate(told)]
        add_facts(connection, worker_id, facts)

    def _ask(self, each: Watched, rows: list[Row[Any]]) -> None:
        worker_id = each.living.worker_id
        if self._stacks_of[worker_id] >= _MOST_STACKS:
            return
        self._stacks_of[worker_id] += 1
        data: dict[str, Any] = {"request_ids": [_name(row) for row in rows[:_MOST_FACTS]]}
        if len({row.thread for row in rows}) == 1 and rows[0].thread:
            data["thread"] = rows[0].thread
        wanted: dict[int, list[str]] = {}
        for row in rows[:_MOST_FACTS]:
            wanted.setdefault(row.thread, []).append(_name(row))
        exchanges = {
            _name(row): Exchange(row.peer or row.client, row.begun_ns, row.method in SENDING)
            for row in rows[:_MOST_FACTS]
        }
        self._stacks.ask(Question(each.living, data, wanted, exchanges))

    def _went_on(self, connection: Connection, known: Mapping[int, Watched]) -> Sequence[Row[Any]]:
        """Requests that were seen to hang and have come to their end by themselves."""
        wanted = (
            select(request, worker.c.uid)
            .join(incident, incident.c.id == request.c.incident_id)
            .join(worker, worker.c.id == request.c.worker_id)
            .where(
                incident.c.worker_id.in_(known),
                incident.c.kind == HANG_INCIDENT,
                request.c.outcome.not_in([OPEN, UNFINISHED]),
            )
            .order_by(request.c.id)
            .limit(_MOST_OVER)
        )
        return connection.execute(wanted).all()


def _is_usual(connection: Connection, row: Row[Any], now_ns: int) -> bool:
    """Whether requests of its route have taken as long before, and came to their end."""
    as_long = (
        select(request.c.id)
        .where(
            request.c.application_id == row.application_id,
            request.c.outcome == SLOW,
            request.c.duration_ns >= now_ns - row.begun_ns,
            request.c.route_id == row.route_id,
        )
        .limit(_USUAL)
    )
    return len(connection.execute(as_long).all()) == _USUAL


def _name(row: Row[Any]) -> str:
    return f"{row.uid}-{row.seq}"


def _hang_fact(row: Row[Any], each: Watched, at_ns: int) -> Fact:
    age_s = (at_ns - row.begun_ns) / 1e9
    words = (
        f"request {_name(row)} has been open for {age_s:.1f} s, and a request may take"
        f" {each.hang_ns / 1e9:g} s; process {each.living.process.pid} lives"
    )
    data = {"age_s": round(age_s, 3), "request_id": _name(row)}
    return Fact(HANG, Source.JOURNAL, at_ns, words, data)


def _over_fact(row: Row[Any]) -> Fact:
    age_s = (row.duration_ns or 0) / 1e9
    status = f" with status {row.status}" if row.status else ""
    words = f"request {_name(row)}, which hung, went on and ended{status} after {age_s:.1f} s"
    data = {"age_s": round(age_s, 3), "request_id": _name(row), "over": True}
    return Fact(HANG, Source.JOURNAL, row.begun_ns + (row.duration_ns or 0), words, data)
