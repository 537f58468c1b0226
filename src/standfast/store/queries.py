"""What the reports and the pages ask of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, or_, select

from .in_flight import MOST, in_flight
from .tables import OPEN, application, incident, logged_error, request, route, worker

_CHUNK = 500
#: So many requests in flight are listed, the oldest.
FLYING = 500


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted; ``since_ns`` is nanoseconds of the epoch, None means all.

    Each of ``routes`` is a template, or the beginning of some followed by ``*``; ``incident_id``
    wants one incident only.
    """

    app: str | None = None
    since_ns: int | None = None
    routes: tuple[str, ...] | None = None
    limit: int = 20
    incident_id: int | None = None


class Struck(NamedTuple):
    """An incident with the requests that were in flight, and how many of them are left out."""

    row: Row[Any]
    requests: list[Row[Any]]
    left_out: int


def incidents(engine: Engine, wanted: Filter, most: int = MOST) -> list[Struck]:
    """Incidents, the newest first, each with at most ``most`` of the requests that its worker
    left unfinished."""
    newest = (incident.c.died_ns.desc(), incident.c.id.desc())
    statement = whole_incidents().order_by(*newest).limit(wanted.limit)
    with engine.connect() as connection:
        if wanted.app is not None:
            statement = statement.where(
                incident.c.application_id.in_(_app_ids(connection, wanted.app))
            )
        if wanted.since_ns is not None:
            statement = statement.where(incident.c.died_ns >= wanted.since_ns)
        if wanted.incident_id is not None:
            statement = statement.where(incident.c.id == wanted.incident_id)
        if wanted.routes is not None:
            # Asked of each incident, the newest first: from the route's requests it would lead
            # through all of them.
            there = select(request.c.id).where(
                request.c.incident_id == incident.c.id,
                request.c.route_id.in_(_routes(wanted.routes)),
            )
            statement = statement.where(there.exists())
    return with_requests(engine, statement, most)


def with_requests(engine: Engine, incidents: Select[Any], most: int = MOST) -> list[Struck]:
    """What a statement over ``whole_incidents`` finds, each with what was in flight."""
    with engine.connect() as connection:
        found = connection.execute(incidents).all()
        ids = [row.id for row in found]
        taken = dict(in_flight(connection, whole_requests(), ids, most))
    return [Struck(row, *taken[row.id]) for row in found]


def closed(engine: Engine, outcome: str, wanted: Filter) -> Sequence[Row[Any]]:
    """Requests of one outcome (``slow`` or ``failed``), the newest first.

    Each application is asked for its own: no index has the requests of all in one order.
    """
    newest: list[tuple[int, int]] = []
    narrow = (
        select(request.c.begun_ns, request.c.id)
        .where(request.c.outcome == outcome)
        .order_by(request.c.begun_ns.desc(), request.c.id.desc())
        .limit(wanted.limit)
    )
    with engine.connect() as connection:
        if wanted.since_ns is not None:
            narrow = narrow.where(request.c.begun_ns >= wanted.since_ns)
        if wanted.routes is not None:
            narrow = narrow.where(request.c.route_id.in_(_routes(wanted.routes)))
        for app_id in _app_ids(connection, wanted.app):
            mine = connection.execute(narrow.where(request.c.application_id == app_id))
            newest = nlargest(wanted.limit, [*newest, *((row[0], row[1]) for row in mine)])
        return requests_by_id(connection, [number for _, number in newest])


def logged(engine: Engine, wanted: Filter) -> Sequence[Row[Any]]:
    """Errors that were logged in requests that did not fail, by place, the latest first."""
    statement = (
        select(logged_error, route.c.template, application.c.name.label("app"))
        .join(route, route.c.id == logged_error.c.route_id)
        .join(application, application.c.id == route.c.application_id)
        .order_by(logged_error.c.last_ns.desc())
        .limit(wanted.limit)
    )
    if wanted.since_ns is not None:
        statement = statement.where(logged_error.c.last_ns >= wanted.since_ns)
    if wanted.routes is not None:
        statement = statement.where(logged_error.c.route_id.in_(_routes(wanted.routes)))
    with engine.connect() as connection:
        if wanted.app is not None:
            ids = _app_ids(connection, wanted.app)
            statement = statement.where(route.c.application_id.in_(ids))
        return connection.execute(statement).all()


def requests_by_id(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    """These requests whole and in this order, without those that are gone."""
    found: dict[int, Row[Any]] = {}
    for at in range(0, len(ids), _CHUNK):
        some = request.c.id.in_(ids[at : at + _CHUNK])
        found.update({row.id: row for row in connection.execute(whole_requests().where(some))})
    return [found[number] for number in ids if number in found]


def _app_ids(connection: Connection, name: str | None) -> list[int]:
    statement = select(application.c.id)
    if name is not None:
        statement = statement.where(application.c.name == name)
    return list(connection.execute(statement).scalars())


def templates(engine: Engine, app: str | None) -> list[list[str]]:
    """The routes of one application or of all, those of each by themselves and for each kind."""
    found: dict[tuple[int, str], list[str]] = {}
    with engine.connect() as connection:
        ours = route.c.application_id.in_(_app_ids(connection, app))
        wanted = select(route.c.application_id, route.c.kind, route.c.template).where(ours)
        for row in connection.execute(wanted):
            found.setdefault((row.application_id, row.kind), []).append(row.template)
    return list(found.values())


def _routes(wanted: Sequence[str]) -> Select[tuple[int]]:
    return select(route.c.id).where(or_(*map(on_route, wanted)))


def on_route(wanted: str) -> ColumnElement[bool]:
    """The condition that a route is the one wanted, see ``Filter``."""
    if wanted.endswith("*"):
        return route.c.template.startswith(wanted[:-1], autoescape=True)
    return route.c.template == wanted


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
            # Whether records of this worker were read, and none is known to be missing.
            and_(
                worker.c.lost == 0,
                worker.c.left_out == 0,
                or_(worker.c.read_segment > 1, worker.c.read_offset > 0),
            ).label("recorded"),
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


def applications(engine: Engine) -> list[tuple[int, str]]:
    """The numbers and names of all applications, by name."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(application.c.id, application.c.name).order_by(application.c.name)
        )
        return [(row.id, row.name) for row in rows]


def first_seen(engine: Engine, app_id: int) -> int | None:
    """When the application's first worker began, nanoseconds of the epoch."""
    statement = select(func.min(worker.c.started_ns)).where(worker.c.application_id == app_id)
    with engine.connect() as connection:
        return connection.execute(statement).scalar()


def one_request(engine: Engine, app_id: int, name: str) -> Row[Any] | None:
    """The request of this name, ``uid-sequence``, of one application; None where it is not kept."""
    uid, _, number = name.rpartition("-")
    # Requests may be numbered by the nanoseconds of a clock: nineteen digits.
    if not (number.isascii() and number.isdigit() and len(number) < 20 and int(number) < 2**63):
        return None
    # As a value and not as a join: SQLite would look through all requests of the application.
    whose = select(worker.c.id).where(worker.c.uid == uid, worker.c.application_id == app_id)
    statement = whole_requests().where(
        request.c.worker_id == whose.scalar_subquery(), request.c.seq == int(number)
    )
    with engine.connect() as connection:
        return connection.execute(statement).first()


def flying(engine: Engine, app_id: int, limit: int = FLYING) -> Sequence[Row[Any]]:
    """What is in flight as the watcher saw it last, the oldest first. An open row that is torn
    out waits for its worker's death."""
    statement = (
        whole_requests()
        .where(request.c.application_id == app_id, request.c.outcome == OPEN, ~request.c.aborted)
        .order_by(request.c.begun_ns, request.c.id)
        .limit(limit)
    )
    with engine.connect() as connection:
        return connection.execute(statement).all()


def incident_page(engine: Engine, ids: Sequence[int], most: int = MOST) -> list[Struck]:
    """These incidents, in this order, each with at most ``most`` of the requests that were in
    flight."""
    rows = with_requests(engine, whole_incidents().where(incident.c.id.in_(ids)), most)
    by_id = {each.row.id: each for each in rows}
    return [by_id[number] for number in ids if number in by_id]
