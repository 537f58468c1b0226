"""What the pages ask of the store: lists that are filtered, sorted and turned over.

The rows of requests are wide. What is sorted and counted are therefore narrow indexes, and only
the rows of the one page that is shown are read whole, and those that are searched for a text. How
much is looked at for one page is bounded: a store that has grown answers as quickly.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    case,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from .dialect import search
from .failures import ErrorGroup, groups_by_span
from .period import ALWAYS, Period
from .queries import (
    on_route,
    requests_by_id,
)
from .tables import FAILED, OPEN, SEARCHED, SLOW, request, route, worker

Columns = ReadOnlyColumnCollection[str, Any]
#: What requests may be sorted by.
ORDERS: dict[str, Callable[[Columns], ColumnElement[Any]]] = {
    "time": lambda columns: columns.begun_ns,
    "duration": lambda columns: columns.duration_ns,
    "route": lambda _columns: route.c.template,
    # That of an answer that was never given comes before all others, in every database.
    "status": lambda columns: func.coalesce(columns.status, -1),
}
_NARROW = ("id", "begun_ns", "duration_ns", "route_id", "place", "status", "worker_id")
#: What is more is neither counted nor looked at for one page, which would wait for it.
COUNTED = 10_000


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

    @property
    def is_filtered(self) -> bool:
        """Whether more is wanted of a row than its application and its period."""
        chosen = (self.route, self.host, self.search or None, self.place, self.status)
        return any(each is not None for each in chosen)


class Cursor(NamedTuple):
    """Where a page ends: what its last row is sorted by, and the number of that row."""

    value: int | str
    number: int


class Page(NamedTuple):
    """Some rows, how many there are in all (None: more than ``COUNTED``), and where the next page
    begins, None where there is none. With ``is_part``, ``total`` is of the first ``COUNTED`` of
    the period alone: the newest, or the longest where these are asked for."""

    rows: Sequence[Row[Any]]
    total: int | None
    after: Cursor | None
    is_part: bool


class ErrorGroups(NamedTuple):
    """With ``is_part``, of the newest ``COUNTED`` alone; with ``is_rounded``, of whole hours or
    days."""

    groups: list[ErrorGroup]
    is_part: bool
    is_rounded: bool


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
    however many rows have come or gone meanwhile.

    For one page no more than ``COUNTED`` requests are looked at, however many are kept. Where
    filters leave too few of them for a page, it says where the next one looks on; an order in
    which no index has them is that of the newest.
    """
    where, is_filtered = _where(outcome, wanted), wanted.is_filtered
    turned = is_turned(order, outcome)
    with engine.connect() as connection:
        seen = _count(connection, select(literal(1)).select_from(request).where(*where), 1)
        many = seen > COUNTED
        if many and order == "duration" and turned:
            # By its own index: in the one by time, the whole period would be sorted.
            where = _where(outcome, wanted, request.c.begun_ns + 0)
        window = _window(where, order, ascending, after) if turned else _window(where)
        if turned and not is_filtered:
            statement = window
        else:
            statement = _chosen(engine, window, wanted, order, ascending, None if turned else after)
        # What is filtered is looked at once for the page and the total; these rows are narrow.
        is_whole = is_filtered and after is None
        found = connection.execute(statement.limit(COUNTED if is_whole else limit + 1)).all()
        last = found[limit - 1] if len(found) > limit else None
        if last is None and many and turned and is_filtered:
            last = connection.execute(window.offset(COUNTED - 1).limit(1)).first()
        total = len(found)
        if is_filtered and not is_whole:
            first = _window(where, order, ascending) if turned else window
            total = _count(connection, _chosen(engine, first, wanted).order_by(None))
        rows = requests_by_id(connection, [row.id for row in found[:limit]])
    return Page(
        rows,
        total if is_filtered else None if many else seen,
        Cursor(last.sorted_by, last.id) if last is not None else None,
        many and (is_filtered or not turned),
    )


def is_turned(order: str, outcome: str) -> bool:
    """Whether an index has the requests of this outcome in this order, so that pages lead through
    all of them."""
    return order == "time" or (order == "duration" and outcome == SLOW)


def closed_ids(
    engine: Engine, outcome: str, wanted: Wanted, *, order: str = "time", ascending: bool = False
) -> array[int]:
    """The numbers of all requests of one outcome, as they are at this moment: an export has each
    once, whatever comes and goes while it is being written."""
    column = ORDERS[order](request.c)
    numbers = select(request.c.id).where(
        *_where(outcome, wanted), *_filters(engine, wanted, request.c)
    )
    if order == "route":
        numbers = numbers.join(route, route.c.id == request.c.route_id)
    numbers = numbers.order_by(*_sorting(column, request.c.id, ascending))
    with engine.connect() as connection:
        found = connection.execution_options(yield_per=10_000).execute(numbers)
        return array("q", (row.id for row in found))


def requests_of(engine: Engine, ids: Sequence[int]) -> list[Row[Any]]:
    """These requests whole and in this order, without those that are gone."""
    with engine.connect() as connection:
        return requests_by_id(connection, ids)


def error_groups(engine: Engine, wanted: Wanted, limit: int = 200) -> ErrorGroups:
    """Where the errors come from, the most frequent first: from the rows, or where these are too
    many, and all of them are wanted, from the counts."""
    where = _where(FAILED, wanted)
    with engine.connect() as connection:
        seen = _count(connection, select(literal(1)).select_from(request).where(*where), 1)
        many = seen > COUNTED
        if many and not wanted.is_filtered:
            counted = groups_by_span(connection, wanted.app_id, wanted.period, limit)
            return ErrorGroups(counted, False, True)
        looked = _window(where).subquery("looked")
        status = case((looked.c.place.is_(None), looked.c.status))
        moment, count = looked.c.begun_ns, func.count()
        statement = (
            select(looked.c.place, status, count, func.min(moment), func.max(moment))
            .where(*_filters(engine, wanted, looked.c))
            .group_by(looked.c.place, status)
            .order_by(count.desc())
            .limit(limit)
        )
        if wanted.search:
            statement = statement.join(request, request.c.id == looked.c.id)
        groups = [ErrorGroup(*row) for row in connection.execute(statement)]
    return ErrorGroups(groups, many, False)


def count_flying(engine: Engine, app_id: int) -> int | None:
    """How many requests are in flight, None where they are more than ``COUNTED``."""
    here = request.c.application_id == app_id
    flown = select(literal(1)).select_from(request)
    flown = flown.where(here, request.c.outcome == OPEN, ~request.c.aborted).limit(COUNTED + 1)
    with engine.connect() as connection:
        count = select(func.count()).select_from(flown.subquery())
        total = connection.execute(count).scalar_one()
    return total if total <= COUNTED else None


def _where(
    outcome: str, wanted: Wanted, moment: ColumnElement[int] = request.c.begun_ns
) -> list[ColumnElement[bool]]:
    """What an index finds at once."""
    ours = [request.c.application_id == wanted.app_id, request.c.outcome == outcome]
    return ours + wanted.period.covers(moment)


def _filters(engine: Engine, wanted: Wanted, columns: Columns) -> list[ColumnElement[bool]]:
    """What is asked of each row that is looked at: of ``columns``, but for the texts, which the
    index has not."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.route is not None:
        ours = route.c.application_id == wanted.app_id
        those = select(route.c.id).where(ours, on_route(wanted.route))
        conditions.append(columns.route_id.in_(those))
    if wanted.host is not None:
        ours = worker.c.application_id == wanted.app_id
        there = select(worker.c.id).where(ours, worker.c.host == wanted.host)
        conditions.append(columns.worker_id.in_(there))
    if wanted.place is not None:
        conditions.append(columns.place == wanted.place)
    if wanted.status is not None:
        conditions += [columns.place.is_(None), columns.status == wanted.status]
    if wanted.search:
        find = search(engine.dialect.name)
        texts = [request.c[name] for name in SEARCHED]
        conditions.append(
            or_(*[getattr(text, find)(wanted.search, autoescape=True) for text in texts])
        )
    return conditions


def _window(
    where: Sequence[ColumnElement[bool]],
    order: str = "time",
    ascending: bool = False,
    after: Cursor | None = None,
) -> Select[Any]:
    """The first rows in an order that an index has; all that is looked at for one page."""
    column = ORDERS[order](request.c)
    narrow = [request.c[name] for name in _NARROW]
    rows = select(*narrow, column.label("sorted_by")).where(*where)
    if after is not None:
        rows = rows.where(*_behind(column, request.c.id, ascending, after))
    return rows.order_by(*_sorting(column, request.c.id, ascending)).limit(COUNTED)


def _chosen(
    engine: Engine,
    window: Select[Any],
    wanted: Wanted,
    order: str = "time",
    ascending: bool = False,
    after: Cursor | None = None,
) -> Select[Any]:
    """Those of a window that are wanted, in any order."""
    looked = window.subquery("looked")
    column = ORDERS[order](looked.c)
    chosen = select(looked.c.id, column.label("sorted_by"))
    chosen = chosen.where(*_filters(engine, wanted, looked.c))
    if order == "route":
        chosen = chosen.join(route, route.c.id == looked.c.route_id)
    if wanted.search:
        chosen = chosen.join(request, request.c.id == looked.c.id)
    if after is not None:
        chosen = chosen.where(*_behind(column, looked.c.id, ascending, after))
    return chosen.order_by(*_sorting(column, looked.c.id, ascending))


def _sorting(
    column: ColumnElement[Any], number: ColumnElement[int], ascending: bool
) -> list[ColumnElement[Any]]:
    return [column.asc() if ascending else column.desc(), number.desc()]


def _behind(
    column: ColumnElement[Any], number: ColumnElement[int], ascending: bool, after: Cursor
) -> list[ColumnElement[bool]]:
    beyond = column > after.value if ascending else column < after.value
    # The first condition alone finds the place in an index.
    bound = column >= after.value if ascending else column <= after.value
    return [bound, or_(beyond, number < after.number)]


def _count(connection: Connection, rows: Select[Any], more: int = 0) -> int:
    """How many rows there are, up to ``COUNTED`` and so many more."""
    counted = select(func.count()).select_from(rows.limit(COUNTED + more).subquery())
    return connection.execute(counted).scalar_one()
