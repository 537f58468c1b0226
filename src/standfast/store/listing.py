"""What the pages ask of the store: lists that are filtered, sorted and turned over.

The rows of requests are wide. What is sorted and counted are therefore narrow indexes, and only
the rows of the one page that is shown are read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, func, or_, select

from .period import ALWAYS, Period
from .queries import on_route, whole_requests
from .tables import FAILED, OPEN, application, incident, request, route, worker

#: What requests may be sorted by.
ORDERS = {
    "time": request.c.begun_ns,
    "duration": request.c.duration_ns,
    "route": route.c.template,
    "status": request.c.status,
}


@dataclass(frozen=True)
class Wanted:
    """Which rows of one application are wanted. ``route`` is as in ``queries.Filter``, ``place``
    where an error comes from ("" for those without), ``search`` a part of the URI, the client or
    the user agent."""

    app_id: int
    period: Period = ALWAYS
    route: str | None = None
    host: str | None = None
    search: str | None = None
    place: str | None = None
    status: int | None = None


class Page(NamedTuple):
    """Some rows, and how many there are in all."""

    rows: Sequence[Row[Any]]
    total: int


@dataclass(frozen=True)
class ErrorGroup:
    """Failed requests with errors from one place; without a place, those of one status."""

    place: str | None
    status: int | None
    count: int
    first_ns: int
    last_ns: int


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


def closed_page(
    engine: Engine,
    outcome: str,
    wanted: Wanted,
    *,
    order: str = "time",
    ascending: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> Page:
    """Requests of one outcome. ``order`` is one of ``ORDERS``."""
    conditions = _conditions(outcome, wanted)
    column = ORDERS[order]
    sorting = [column.asc() if ascending else column.desc(), request.c.id.desc()]
    numbers = _joined(select(request.c.id), wanted, order).where(*conditions)
    count = _joined(select(func.count()).select_from(request), wanted).where(*conditions)
    with engine.connect() as connection:
        total = connection.execute(count).scalar_one()
        shown = numbers.order_by(*sorting).offset(offset).limit(limit)
        ids = list(connection.execute(shown).scalars())
        return Page(_in_order(connection, ids), total)


def error_groups(engine: Engine, wanted: Wanted, limit: int = 200) -> list[ErrorGroup]:
    """Where the errors come from, the most frequent first."""
    moment = request.c.begun_ns
    # The status is asked for only where there is no place: no index has both.
    keys = (request.c.place,)
    counted = (func.count().label("count"), func.min(moment), func.max(moment))
    with_place = (
        _joined(select(*keys, *counted), wanted)
        .where(*_conditions(FAILED, wanted), request.c.place.is_not(None))
        .group_by(*keys)
        .order_by(func.count().desc())
        .limit(limit)
    )
    without = (
        _joined(select(request.c.status, *counted), wanted)
        .where(*_conditions(FAILED, wanted), request.c.place.is_(None))
        .group_by(request.c.status)
        .limit(limit)
    )
    with engine.connect() as connection:
        found = [ErrorGroup(place, None, *rest) for place, *rest in connection.execute(with_place)]
        found += [ErrorGroup(None, status, *rest) for status, *rest in connection.execute(without)]
    return sorted(found, key=lambda group: -group.count)[:limit]


def flying(engine: Engine, app_id: int, limit: int = 500) -> Sequence[Row[Any]]:
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


def one_request(engine: Engine, app_id: int, name: str) -> Row[Any] | None:
    """The request of this name, ``uid-sequence``, of one application; None where it is not kept."""
    uid, _, number = name.rpartition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    statement = whole_requests().where(
        request.c.application_id == app_id, worker.c.uid == uid, request.c.seq == int(number)
    )
    with engine.connect() as connection:
        return connection.execute(statement.limit(1)).first()


def incident_page(engine: Engine, ids: Sequence[int]) -> list[tuple[Row[Any], list[Row[Any]]]]:
    """These incidents, in this order, each with the requests that were in flight."""
    statement = (
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
        .where(incident.c.id.in_(ids))
    )
    taken: dict[int, list[Row[Any]]] = {number: [] for number in ids}
    with engine.connect() as connection:
        rows: dict[int, Any] = {row.id: row for row in connection.execute(statement)}
        begun = whole_requests().where(request.c.incident_id.in_(ids)).order_by(request.c.begun_ns)
        for one in connection.execute(begun):
            taken[one.incident_id].append(one)
    return [(rows[number], taken[number]) for number in ids if number in rows]


def _in_order(connection: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    rows = connection.execute(whole_requests().where(request.c.id.in_(ids)))
    found = {row.id: row for row in rows}
    return [found[number] for number in ids if number in found]


def _joined(statement: Select[Any], wanted: Wanted, order: str = "") -> Select[Any]:
    """With the tables that the conditions, and the sorting, speak of."""
    if wanted.route is not None or order == "route":
        statement = statement.join(route, route.c.id == request.c.route_id)
    if wanted.host is not None:
        statement = statement.join(worker, worker.c.id == request.c.worker_id)
    return statement


def _conditions(outcome: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [request.c.application_id == wanted.app_id, request.c.outcome == outcome]
    conditions += wanted.period.covers(request.c.begun_ns)
    if wanted.route is not None:
        conditions.append(on_route(wanted.route))
    if wanted.host is not None:
        conditions.append(worker.c.host == wanted.host)
    if wanted.place is not None:
        conditions.append(request.c.place == wanted.place)
    if wanted.status is not None:
        conditions += [request.c.place.is_(None), request.c.status == wanted.status]
    if wanted.search:
        texts = (request.c.uri, request.c.client, request.c.user_agent)
        conditions.append(or_(*[text.icontains(wanted.search, autoescape=True) for text in texts]))
    return conditions
