"""What is known of one incident: the worker, its unfinished requests, its facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from standfast.store.evidence import Fact, facts_of
from standfast.store.in_flight import in_flight
from standfast.store.tables import (
    DEATH,
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

#: Errors of requests that failed so shortly before the end belong to the case.
ERRORS_NS = 60_000_000_000
_MOST_ERRORS = 5
_CHUNK = 400


@dataclass(frozen=True)
class Unfinished:
    """One request that was in flight. ``name`` is its id in reports; the texts are the
    client's and not to be trusted. ``thread`` is what ``threading.get_ident`` gave."""

    name: str
    method: str
    uri: str
    route: str
    begun_ns: int
    thread: int = 0
    client: str = ""
    user_agent: str = ""
    aborted: bool = False
    error: str = ""
    number: int = 0


@dataclass(frozen=True)
class Case:
    """One incident. ``errors`` are stacks of requests of this worker that failed shortly before
    its end; ``facts`` are in the order of time. ``died_ns`` is when it died or was found to hang,
    ``left_out`` how many more requests were in flight than were read.
    """

    incident_id: int
    died_ns: int
    app: str = ""
    host: str = ""
    pid: int = 0
    server: str = ""
    revision: str = ""
    started_ns: int = 0
    kind: str = DEATH
    signal: str | None = None
    exit_code: int | None = None
    requests: tuple[Unfinished, ...] = ()
    left_out: int = 0
    facts: tuple[Fact, ...] = ()
    errors: tuple[str, ...] = ()

    def all(self, *kinds: str) -> list[Fact]:
        """The facts of these kinds."""
        return [fact for fact in self.facts if fact.kind in kinds]

    def first(self, *kinds: str) -> Fact | None:
        """The first fact of these kinds, if there is one."""
        return next(iter(self.all(*kinds)), None)


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
                left_out=left_out,
                facts=tuple(facts[row.worker_id]),
                errors=tuple(errors.get(row.worker_id, ())),
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
    )
