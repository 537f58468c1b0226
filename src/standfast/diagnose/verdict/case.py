"""What is known of one incident: the worker, its unfinished requests, its facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from standfast.store.evidence import Fact, facts_of
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
    its end; ``facts`` are in the order of time. ``died_ns`` is when it died or was found to hang.
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


def _load(engine: Engine, incident_ids: Sequence[int]) -> list[Case]:
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
        .where(request.c.incident_id.in_(incident_ids))
        .order_by(request.c.begun_ns, request.c.id)
    )
    with engine.connect() as connection:
        rows = connection.execute(dead).all()
        worker_ids = [row.worker_id for row in rows]
        requests: dict[int, list[Unfinished]] = {row.id: [] for row in rows}
        hangs = {row.id for row in rows if row.kind == HANG}
        for one in connection.execute(taken):
            # One that hung and ended by itself keeps its incident, and had no part in the death.
            if one.incident_id in hangs or one.outcome in (OPEN, UNFINISHED):
                requests[one.incident_id].append(_unfinished(one))
        errors = _errors(connection, {row.worker_id: row.died_ns for row in rows})
        facts = facts_of(connection, worker_ids)
    return [
        Case(
            row.id,
            row.died_ns,
            row.app,
            kind=row.kind,
            requests=tuple(requests[row.id]),
            facts=tuple(facts[row.worker_id]),
            errors=tuple(errors.get(row.worker_id, ())[:_MOST_ERRORS]),
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
