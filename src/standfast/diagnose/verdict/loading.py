"""From the store to cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from standfast.store.evidence import facts_of
from standfast.store.in_flight import in_flight
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
_CHUNK = 400


def load(engine: Engine, incident_ids: Sequence[int]) -> Iterator[Case]:
    """The cases of these incidents, in no order; ids that are not there are left out."""
    wanted = sorted(set(incident_ids))
    for start in range(0, len(wanted), _CHUNK):
        yield from _load(engine, wanted[start : start + _CHUNK])


def _load(engine: Engine, incident_ids: Sequence[int]) -> Iterator[Case]:
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
            worker.c.left_out,
            application.c.name.label("app"),
            *[worker.c[name] for name in _WORKER],
        )
        .join(worker, worker.c.id == incident.c.worker_id)
        .join(application, application.c.id == incident.c.application_id)
        .where(incident.c.id.in_(incident_ids))
    )
    taken = (
        select(request, route.c.template, worker.c.uid)
        .join(route, route.c.id == request.c.route_id)
        .join(worker, worker.c.id == request.c.worker_id)
    )
    with engine.connect() as connection:
        rows = {row.id: row for row in connection.execute(dead)}
        errors = _errors(connection, list(rows))
        facts = facts_of(connection, [row.worker_id for row in rows.values()])
        for number, (requests, left_out) in in_flight(connection, taken, list(rows)):
            row = rows[number]
            others = around(connection, row.application_id, row.host, row.worker_id, row.died_ns)
            yield Case(
                row.id,
                row.died_ns,
                row.app,
                kind=row.kind,
                # One that hung and ended by itself keeps its incident, and had no part in a death.
                requests=tuple(
                    _unfinished(one)
                    for one in requests
                    if row.kind == HANG or one.outcome in (OPEN, UNFINISHED)
                ),
                facts=tuple(facts[row.worker_id]),
                errors=tuple(errors.get(row.worker_id, ())),
                recorded=_is_recorded(row),
                left_out=left_out,
                **others._asdict(),
                **{name: getattr(row, name) for name in _WORKER},
            )


def _errors(connection: Connection, incident_ids: Sequence[int]) -> dict[int, list[str]]:
    """By worker the errors of its last requests before these incidents, the last first."""
    before = incident.c.died_ns - ERRORS_NS
    last_first = (request.c.begun_ns.desc(), request.c.id.desc())
    place = func.row_number().over(partition_by=request.c.worker_id, order_by=last_first)
    ranked = (
        select(request.c.id, place.label("place"))
        .join(incident, incident.c.worker_id == request.c.worker_id)
        .where(
            incident.c.id.in_(incident_ids),
            request.c.outcome == FAILED,
            request.c.place.is_not(None),  # as every error has one
            request.c.begun_ns.between(before, incident.c.died_ns),
        )
        .subquery()
    )
    # Stacks are long: they are read only where they belong to the case.
    ids = select(ranked.c.id).where(ranked.c.place <= _MOST_ERRORS)
    last = list(connection.execute(ids).scalars())
    found: dict[int, list[str]] = {}
    for start in range(0, len(last), _CHUNK):
        some = request.c.id.in_(last[start : start + _CHUNK])
        stacks = select(request.c.worker_id, request.c.error).where(some)
        for row in connection.execute(stacks.order_by(*last_first)):
            found.setdefault(row.worker_id, []).append(row.error)
    return found


_WORKER = ("host", "pid", "server", "revision", "started_ns", "signal", "exit_code")


def _is_recorded(row: Any) -> bool:
    """Whether a journal of the worker was read, with nothing missing from it or from the store."""
    is_read = (row.read_segment, row.read_offset) > (1, 0)
    return is_read and not row.lost and not row.damaged and not row.left_out


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
