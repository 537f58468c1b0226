"""What leaves the store when its time is over: a limit for each kind of row, small steps.

A step is one short transaction, so that neither the watcher nor a page waits for it. Nothing here
reads a table from end to end: what is old is found in an index, or lies in front.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, Table, delete, exists, func, or_, select

from standfast.store import writing
from standfast.store.failures import FAILURE_DAYS, FAILURE_HOURS, failure, failure_day
from standfast.store.people.sessions import ABSOLUTE_S
from standfast.store.people_tables import session, share
from standfast.store.period import DAYS, HOURS, MINUTES, Span
from standfast.store.tables import (
    FAILED,
    OPEN,
    SLOW,
    application,
    evidence,
    incident,
    logged_error,
    ordinary_request,
    pending_exit,
    pending_signal,
    request,
    route,
    worker,
)

from .settings import Settings

#: How many ordinary rows one step looks at, and how many rows of other kinds it deletes.
STEP = 20_000
ROWS = 500
#: How many incidents or workers, and the roll-ups of how many routes, one step is about.
_GROUPS = 50
_ROUTES = 200
#: How often it is looked for rows other than ordinary ones, in seconds.
EVERY_S = 60.0
_LATEST = 2**63 - 1


class Kept(NamedTuple):
    """The time from which rows are kept, nanoseconds of the epoch. What is from further in the
    future than rows are kept has a wrong clock, and would stay for ever."""

    first_ns: int
    last_ns: int = _LATEST

    @classmethod
    def lasting(cls, keep_s: float, now_ns: int) -> Kept:
        """Rows of the last ``keep_s`` seconds."""
        keep_ns = int(keep_s * 1e9)
        return cls(max(now_ns - keep_ns, -_LATEST), min(now_ns + keep_ns, _LATEST))

    def lacks(self, moment: Any) -> Any:
        """The condition that a column of nanoseconds lies outside."""
        if self.last_ns == _LATEST:
            return moment < self.first_ns
        return or_(moment < self.first_ns, moment > self.last_ns)


class Retention:
    """Deletes what is over, a step at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._due_s = time.monotonic()
        self._left: list[Callable[[Connection], bool]] = []

    def step(self, engine: Engine, reading: Collection[int] = ()) -> bool:
        """One short transaction; whether there may be more to do now. ``reading`` are the workers
        whose journals are being read: they stay."""
        now_ns, chosen = time.time_ns(), self._settings
        with writing(engine) as connection:
            if ordinary(connection, Kept.lasting(chosen.keep_ordinary_s, now_ns)):
                return True
        if not self._left:
            if time.monotonic() < self._due_s:
                return False
            self._due_s = time.monotonic() + EVERY_S
            self._left = self._steps(engine, now_ns, reading)
        with writing(engine) as connection:
            if not self._left[0](connection):
                del self._left[0]
        return bool(self._left)

    def _steps(
        self, engine: Engine, now_ns: int, reading: Collection[int]
    ) -> list[Callable[[Connection], bool]]:
        chosen = self._settings
        slow = Kept.lasting(chosen.keep_slow_s, now_ns)
        failed = Kept.lasting(chosen.keep_failed_s, now_ns)
        struck = Kept.lasting(chosen.keep_incidents_s, now_ns)
        # A worker is shown with each of its requests.
        last = Kept(min(slow.first_ns, failed.first_ns, struck.first_ns))
        with engine.connect() as connection:
            apps = list(connection.execute(select(application.c.id)).scalars())
            routes = list(connection.execute(select(route.c.id)).scalars())
        steps: list[Callable[[Connection], bool]] = []
        for app in apps:
            steps += [
                partial(closed, app_id=app, outcome=SLOW, kept=slow),
                partial(closed, app_id=app, outcome=FAILED, kept=failed),
                partial(left_open, app_id=app, kept=struck),
            ]
        steps += [partial(incidents, kept=struck), partial(workers, kept=last, reading=reading)]
        for span, keep_s in (
            (MINUTES, chosen.keep_minutes_s),
            (HOURS, chosen.keep_hours_s),
            (DAYS, chosen.keep_days_s),
        ):
            kept = Kept.lasting(keep_s, now_ns)
            for at in range(0, len(routes), _ROUTES):
                some = routes[at : at + _ROUTES]
                steps.append(partial(rollups, span=span, route_ids=some, kept=kept))
        for span in (FAILURE_HOURS, FAILURE_DAYS):
            steps.append(partial(failures, span=span, kept=failed))
        steps.append(partial(kinds_of_failure))
        steps.append(partial(logged, kept=failed))
        steps.append(partial(sign_ins, now_ns=now_ns))
        return steps


def ordinary(connection: Connection, kept: Kept) -> bool:
    """One step of deletion from the front of the table; whether there may be more to do.

    Rows are numbered in the order of storing, so the oldest are in front.
    """
    rows = ordinary_request.c
    front = select(rows.id).order_by(rows.id).limit(STEP).subquery()
    last, count = connection.execute(select(func.max(front.c.id), func.count())).one()
    if last is None:
        return False
    old = kept.lacks(rows.begun_ns)
    gone = connection.execute(delete(ordinary_request).where(rows.id <= last, old)).rowcount
    return bool(gone) and count == STEP


def closed(connection: Connection, app_id: int, outcome: str, kept: Kept) -> bool:
    """One step of deletion of slow or failed requests; whether there may be more to do."""
    mine = (request.c.outcome == outcome, request.c.application_id == app_id)
    ids = select(request.c.id).where(*mine, kept.lacks(request.c.begun_ns))
    return _delete_rows(connection, request, ids)


def left_open(connection: Connection, app_id: int, kept: Kept) -> bool:
    """The same for requests that are open, but of whose worker nothing was seen since: its host
    is gone, and nobody will say that it died."""
    silent = worker.c.last_seen_ns < kept.first_ns
    ids = (
        select(request.c.id)
        .join(worker, worker.c.id == request.c.worker_id)
        .where(request.c.outcome == OPEN, request.c.application_id == app_id)
        .where(request.c.begun_ns < kept.first_ns, silent)
    )
    return _delete_rows(connection, request, ids)


def incidents(connection: Connection, kept: Kept) -> bool:
    """The same for incidents, with the requests that were in flight and what was seen."""
    old = select(incident.c.id, incident.c.worker_id).where(kept.lacks(incident.c.died_ns))
    found = connection.execute(old.limit(_GROUPS)).all()
    if not found:
        return False
    ids = [row.id for row in found]
    if _delete_rows(
        connection, request, select(request.c.id).where(request.c.incident_id.in_(ids))
    ):
        return True
    worker_ids = [row.worker_id for row in found]
    connection.execute(delete(evidence).where(evidence.c.worker_id.in_(worker_ids)))
    connection.execute(delete(incident).where(incident.c.id.in_(ids)))
    return len(found) == _GROUPS


def workers(connection: Connection, kept: Kept, reading: Collection[int] = ()) -> bool:
    """The same for workers that have died and of which no request is left."""
    old = select(worker.c.id).where(
        kept.lacks(worker.c.died_ns),
        ~exists().where(request.c.worker_id == worker.c.id),
        ~exists().where(incident.c.worker_id == worker.c.id),
    )
    some = connection.execute(old.limit(_GROUPS + len(reading))).scalars()
    ids = [worker_id for worker_id in some if worker_id not in reading][:_GROUPS]
    for table in (pending_exit, pending_signal):
        connection.execute(delete(table).where(table.c.reporter_id.in_(ids)))
    connection.execute(delete(evidence).where(evidence.c.worker_id.in_(ids)))
    connection.execute(delete(worker).where(worker.c.id.in_(ids)))
    return len(ids) == _GROUPS


def rollups(connection: Connection, span: Span, route_ids: Sequence[int], kept: Kept) -> bool:
    """Deletes the roll-ups of one length of some routes; there is never more to do."""
    table, first = span.table, kept.first_ns // span.length_ns
    connection.execute(delete(table).where(table.c.route_id.in_(route_ids), span.number < first))
    return False


def failures(connection: Connection, span: Span, kept: Kept) -> bool:
    """Deletes the counts of failures of one length; there is never more to do. They go with the
    rows that they count: a place may hold what the application wrote."""
    first, last = kept.first_ns // span.length_ns, kept.last_ns // span.length_ns
    every = span.table.c.failure_id.in_(select(failure.c.id))
    old = or_(span.number < first, span.number > last)
    connection.execute(delete(span.table).where(every, old))
    return False


def kinds_of_failure(connection: Connection) -> bool:
    """Deletes the places of which no failure is counted any more; there is never more to do."""
    counted = exists().where(failure_day.c.failure_id == failure.c.id)
    connection.execute(delete(failure).where(~counted))
    return False


def logged(connection: Connection, kept: Kept) -> bool:
    """One step of deletion of errors that were only logged, and not lately."""
    ids = select(logged_error.c.id).where(kept.lacks(logged_error.c.last_ns))
    return _delete_rows(connection, logged_error, ids)


def sign_ins(connection: Connection, now_ns: int) -> bool:
    """Deletes sessions and share links that are over; there is never more to do."""
    opened_ns = now_ns - ABSOLUTE_S * 1_000_000_000
    connection.execute(delete(session).where(session.c.opened_ns < opened_ns))
    connection.execute(delete(share).where(share.c.expires_ns < now_ns))
    return False


def _delete_rows(connection: Connection, table: Table, ids: Select[tuple[int]]) -> bool:
    found = list(connection.execute(ids.limit(ROWS)).scalars())
    if found:
        connection.execute(delete(table).where(table.c.id.in_(found)))
    return len(found) == ROWS
