"""From the store to cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from standfast.store.evidence import facts_of
from standfast.store.tables import (
    FAILED,
    HANG,
    OPEN,
    UNFINISHED,
    application,
    incident,
    request,
    route,
    worker,
)

from .case import Case, Unfinished
from .surroundings import around

#: Errors of requests that failed so shortly before the end belong to the case.
ERRORS_NS = 60_000_000_000
_MOST_ERRORS = 5
#: So many requests of one incident are read, the oldest: one that hangs is among those.
MOST_REQUESTS = 1_000
_CHUNK = 400


def load(engine: Engine, incident_ids: Sequence[int]) -> Iterator[Case]:
    """The cases of these incidents, in no order; ids that are not there are left out."""
    wanted = sorted(set(incident_ids))
    for start in range(0, len(wanted), _CHUNK):
        yield from _load(engine, wanted[start : start + _CHUNK])


def _load(engine: Engine, incident_ids: Sequence[int]) -> list[Case]:
    dead = (
        select(
            incident.c.id,
            incident.c.died_ns,
            incident.c.kind,
            incident.c.worker_id,
            incident.c.application_id,
            worker.c.read_segment,
            worker.c.read_offset,
            worker.c.lost,
            worker.c.damaged,
            application.c.name.label("app"),
            *[worker.c[name] for name in _WORKER],
        )
        .join(worker, worker.c.id == incident.c.worker_id)
        .join(application, application.c.id == incident.c.application_id)
        .where(incident.c.id.in_(incident_ids))
    )
    # One that hung and ended by itself keeps its incident, and had no part in the death.
    taking_part = (incident.c.kind == HANG) | request.c.outcome.in_((OPEN, UNFINISHED))
    by = request.c.incident_id
    numbered = (
        select(
            request.c.id,
            func.row_number()
            .over(partition_by=by, order_by=(request.c.begun_ns, request.c.id))
            .label("place"),
            func.count().over(partition_by=by).label("of"),
        )
        .join(incident, incident.c.id == request.c.incident_id)
        .where(request.c.incident_id.in_(incident_ids), taking_part)
        .subquery()
    )
    taken = (
        select(request, route.c.template, worker.c.uid, numbered.c.of)
        .join(numbered, numbered.c.id == request.c.id)
        .join(route, route.c.id == request.c.route_id)
        .join(worker, worker.c.id == request.c.worker_id)
        .where(numbered.c.place <= MOST_REQUESTS)
        .order_by(request.c.begun_ns, request.c.id)
    )
    with engine.connect() as connection:
        rows = connection.execute(dead).all()
        worker_ids = [row.worker_id for row in rows]
        requests: dict[int, list[Unfinished]] = {row.id: [] for row in rows}
        count: dict[int, int] = {}
        for one in connection.execute(taken):
            requests[one.incident_id].append(_unfinished(one))
            count[one.incident_id] = one.of
        errors = _errors(connection, {row.worker_id: row.died_ns for row in rows})
        facts = facts_of(connection, worker_ids)
        others = {
            row.id: around(connection, row.application_id, row.host, row.worker_id, row.died_ns)
            for row in rows
        }
    return [
        Case(
            row.id,
            row.died_ns,
            row.app,
            kind=row.kind,
            requests=tuple(requests[row.id]),
            facts=tuple(facts[row.worker_id]),
            errors=tuple(errors.get(row.worker_id, ())[:_MOST_ERRORS]),
            recorded=_is_recorded(row),
            left_out=max(count.get(row.id, 0) - MOST_REQUESTS, 0),
            **others[row.id]._asdict(),
            **{name: getattr(row, name) for name in _WORKER},
        )
        for row in rows
    ]


def _errors(connection: Connection, died_ns: Mapping[int, int]) -> dict[int, list[str]]:
    """By worker the errors of its last requests, the last first."""
    wanted = select(request.c.id, request.c.worker_id, request.c.begun_ns).where(
        request.c.worker_id.in_(died_ns), request.c.outcome == FAILED
    )
    # Stacks are long: they are read only where they belong to the case.
    last = [
        row.id
        for row in connection.execute(wanted.order_by(request.c.begun_ns.desc()))
        if 0 <= died_ns[row.worker_id] - row.begun_ns <= ERRORS_NS
    ]
    found: dict[int, list[str]] = {}
    for start in range(0, len(last), _CHUNK):
        some = last[start : start + _CHUNK]
        stacks = select(request.c.worker_id, request.c.error).where(request.c.id.in_(some))
        stacks = stacks.where(request.c.error.is_not(None))
        for row in connection.execute(stacks.order_by(request.c.begun_ns.desc())):
            found.setdefault(row.worker_id, []).append(row.error)
    return found


_WORKER = ("host", "pid", "server", "revision", "started_ns", "signal", "exit_code")


def _is_recorded(row: Any) -> bool:
    """Whether a journal of the worker was read, with nothing missing from it."""
    is_read = (row.read_segment, row.read_offset) > (1, 0)
    return is_read and not row.lost and not row.damaged


def _unfinished(row: Row[Any]) -> Unfinished:
    return Unfinished(
        f"{row.uid}-{row.seq}",
        row.method,
        row.uri,
        row.template,
        row.begun_ns,
        row.thread,
        row.client,
        row.user_agent,
        row.aborted,
        row.error or "",
        row.id,
        row.seq,
        row.kind,
        row.status,
        # What was torn out of the application has a duration, and no response.
        None if row.duration_ns is None or row.aborted else row.duration_ns / 1e9,
    )
