"""What the pages ask of the store: lists that are filtered, sorted and turned over.

The rows of requests are wide. What is sorted and counted are therefore narrow indexes, and only
the rows of the one page that is shown are read whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, Row, Select, case, func, literal, or_, select

from .dialect import search
from .in_flight import MOST
from .period import ALWAYS, Period
from .queries import (
    Struck,
    on_route,
    requests_by_id,
    whole_incidents,
    whole_requests,
    with_requests,
)
from .tables import FAILED, OPEN, SEARCHED, application, incident, request, route, worker

#: What requests may be sorted by.
ORDERS: dict[str, ColumnElement[Any]] = {
    "time": request.c.begun_ns,
    "duration": request.c.duration_ns,
    "route": route.c.template,
    # That of an answer that was never given comes before all others, in every database.
    "status": func.coalesce(request.c.status, -1),
}
#: What is more is not counted exactly: a page would wait for it.
COUNTED = 10_000
#: So many requests in flight are listed, the oldest.
FLYING = 500


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


class Cursor(NamedTuple):
    """Where a page ends: what its last row is sorted by, and the number of that row."""

    value: int | str
    number: int


class Page(NamedTuple):
    """Some rows, how many there are in all (None: more than ``COUNTED``), and where the next page
    begins, None where there is none."""

    rows: Sequence[Row[Any]]
    total: int | None
    after: Cursor | None


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
    after: Cursor | None = None,
    limit: int = 50,
) -> Page:
    """Requests of one outcome. ``order`` is one of ``ORDERS``; the page begins behind ``after``,
    however many rows have come or gone meanwhile."""
    conditions = _conditions(engine, outcome, wanted)
    column = _sorted_by(order, wanted)
    numbers = _numbers(conditions, order, column, ascending)
    if after is not None:
        numbers = numbers.where(*_behind(column, ascending, after))
    counted = select(literal(1)).select_from(request).where(*conditions).limit(COUNTED + 1)
    with engine.connect() as connection:
        count = select(func.count()).select_from(counted.subquery())
        total = connection.execute(count).scalar_one()
        found = connection.execute(numbers.limit(limit + 1)).all()
        rows = requests_by_id(connection, [row.id for row in found[:limit]])
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        rows,
        total if total <= COUNTED else None,
        Cursor(last.sorted_by, last.id) if last is not None else None,
    )


def closed_ids(
    engine: Engine, outcome: str, wanted: Wanted, *, order: str = "time", ascending: bool = False
) -> array[int]:
    """The numbers of all requests of one outcome, as they are at this moment: an export has each
    once, whatever comes and goes while it is being written."""
    column = _sorted_by(order, wanted)
    numbers = _numbers(_conditions(engine, outcome, wanted), order, column, ascending)
    with engine.connect() as connection:
        found = connection.execution_options(yield_per=10_000).execute(numbers)
        return array("q", (row.id for row in found))


def requests_of(engine: Engine, ids: Sequence[int]) -> list[Row[Any]]:
    """These requests whole and in this order, without those that are gone."""
    with engine.connect() as connection:
        return requests_by_id(connection, ids)


def _sorted_by(order: str, wanted: Wanted) -> ColumnElement[Any]:
    column: ColumnElement[Any] = ORDERS[order]
    # Not in the order of an index: the one with the texts has another, and without them the wide
    # rows would be read.
    return column + 0 if wanted.search and order == "duration" else column


def _numbers(
    conditions: Sequence[ColumnElement[bool]],
    order: str,
    column: ColumnElement[Any],
    ascending: bool,
) -> Select[Any]:
    sorting = [column.asc() if ascending else column.desc(), request.c.id.desc()]
    numbers = select(request.c.id, column.label("sorted_by")).where(*conditions)
    if order == "route":
        numbers = numbers.join(route, route.c.id == request.c.route_id)
    return numbers.order_by(*sorting)


def _behind(
    column: ColumnElement[Any], ascending: bool, after: Cursor
) -> list[ColumnElement[bool]]:
    beyond = column > after.value if ascending else column < after.value
    # The first condition alone finds the place in an index.
    bound = column >= after.value if ascending else column <= after.value
    return [bound, or_(beyond, request.c.id < after.number)]


def error_groups(engine: Engine, wanted: Wanted, limit: int = 200) -> list[ErrorGroup]:
    """Where the errors come from, the most frequent first."""
    moment, count = request.c.begun_ns, func.count()
    status = case((request.c.place.is_(None), request.c.status))
    statement = (
        select(request.c.place, status, count, func.min(moment), func.max(moment))
        .where(*_conditions(engine, FAILED, wanted))
        .group_by(request.c.place, status)
        .order_by(count.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        return [ErrorGroup(*row) for row in connection.execute(statement)]


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


def count_flying(engine: Engine, app_id: int) -> int | None:
    """How many requests are in flight, None where they are more than ``COUNTED``."""
    here = request.c.application_id == app_id
    flown = select(literal(1)).select_from(request)
    flown = flown.where(here, request.c.outcome == OPEN, ~request.c.aborted).limit(COUNTED + 1)
    with engine.connect() as connection:
        count = select(func.count()).select_from(flown.subquery())
        total = connection.execute(count).scalar_one()
    return total if total <= COUNTED else None


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


def incident_page(engine: Engine, ids: Sequence[int], most: int = MOST) -> list[Struck]:
    """These incidents, in this order, each with at most ``most`` of the requests that were in
    flight."""
    rows = with_requests(engine, whole_incidents().where(incident.c.id.in_(ids)), most)
    by_id = {each.row.id: each for each in rows}
    return [by_id[number] for number in ids if number in by_id]


def _conditions(engine: Engine, outcome: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [request.c.application_id == wanted.app_id, request.c.outcome == outcome]
    conditions += wanted.period.covers(request.c.begun_ns)
    if wanted.route is not None:
        ours = route.c.application_id == wanted.app_id
        those = select(route.c.id).where(ours, on_route(wanted.route))
        conditions.append(request.c.route_id.in_(those))
    if wanted.host is not None:
        ours = worker.c.application_id == wanted.app_id
        there = select(worker.c.id).where(ours, worker.c.host == wanted.host)
        conditions.append(request.c.worker_id.in_(there))
    if wanted.place is not None:
        conditions.append(request.c.place == wanted.place)
    if wanted.status is not None:
        conditions += [request.c.place.is_(None), request.c.status == wanted.status]
    if wanted.search:
        find = search(engine.dialect.name)
        conditions.append(
            or_(
                *[
                    getattr(request.c[name], find)(wanted.search, autoescape=True)
                    for name in SEARCHED
                ]
            )
        )
    return conditions
