"""What the reports ask of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, select

from .tables import application, incident, request, route, worker


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; ``since_ns`` is nanoseconds of the epoch, None means all.

    ``route`` is a template, or the beginning of some followed by ``*``; ``incident_id`` wants
    one incident only.
    """

    app: str | None = None
    since_ns: int | None = None
    route: str | None = None
    limit: int = 20
    incident_id: int | None = None


def incidents(engine: Engine, wanted: Filter) -> list[tuple[Any, list[Any]]]:
    """Incidents, the newest first, each with the requests that its worker left unfinished."""
    newest = (incident.c.died_ns.desc(), incident.c.id.desc())
    statement = whole_incidents().order_by(*newest).limit(wanted.limit)
    statement = statement.where(*_conditions(wanted, incident.c.died_ns))
    if wanted.incident_id is not None:
        statement = statement.where(incident.c.id == wanted.incident_id)
    if wanted.route is not None:
        there = (
            select(request.c.incident_id)
            .join(route, route.c.id == request.c.route_id)
            .where(on_route(wanted.route))
        )
        statement = statement.where(incident.c.id.in_(there))
    return with_requests(engine, statement)


def with_requests(engine: Engine, incidents: Select[Any]) -> list[tuple[Any, list[Any]]]:
    """What a statement over ``whole_incidents`` finds, each with what was in flight."""
    with engine.connect() as connection:
        found = connection.execute(incidents).all()
        taken: dict[int, list[Any]] = {row.id: [] for row in found}
        begun = whole_requests().where(request.c.incident_id.in_(taken))
        for row in connection.execute(begun.order_by(request.c.begun_ns)):
            taken[row.incident_id].append(row)
    return [(row, taken[row.id]) for row in found]


def closed(engine: Engine, outcome: str, wanted: Filter) -> Sequence[Row[Any]]:
    """Requests of one outcome (``slow`` or ``failed``), the newest first."""
    statement = (
        whole_requests()
        .where(request.c.outcome == outcome, *_conditions(wanted, request.c.begun_ns))
        .order_by(request.c.begun_ns.desc(), request.c.id.desc())
        .limit(wanted.limit)
    )
    if wanted.route is not None:
        statement = statement.where(on_route(wanted.route))
    with engine.connect() as connection:
        return connection.execute(statement).all()


def on_route(wanted: str) -> ColumnElement[bool]:
    """The condition that a route is the one wanted, see ``Filter``."""
    if wanted.endswith("*"):
        return route.c.template.startswith(wanted[:-1], autoescape=True)
    return route.c.template == wanted


def _conditions(wanted: Filter, moment: ColumnElement[int]) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.app is not None:
        conditions.append(application.c.name == wanted.app)
    if wanted.since_ns is not None:
        conditions.append(moment >= wanted.since_ns)
    return conditions


def whole_incidents() -> Select[Any]:
    """What every list of incidents shows of them, their application's and their worker's."""
    return (
        select(
            incident.c.id,
            incident.c.died_ns,
            incident.c.kind,
            application.c.name.label("app"),
            worker.c.host,
            worker.c.pid,
            worker.c.signal,
            worker.c.exit_code,
        )
        .join(worker, worker.c.id == incident.c.worker_id)
        .join(application, application.c.id == incident.c.application_id)
    )


def whole_requests() -> Select[Any]:
    """All that is known of requests: their own columns, their worker's, application's, route's."""
    return (
        select(
            request,
            worker.c.uid,
            worker.c.host.label("server_host"),
            worker.c.pid,
            application.c.name.label("app"),
            route.c.template.label("route"),
        )
        .join(worker, worker.c.id == request.c.worker_id)
        .join(application, application.c.id == request.c.application_id)
        .join(route, route.c.id == request.c.route_id)
    )
