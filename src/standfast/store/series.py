"""What the roll-ups say of a period: how many requests there were, and how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, func, select

from .period import DAY_NS, Period
from .queries import on_route
from .sketch import Sketch
from .tables import route

#: From so long a period on, distributions are put together from days.
_MOST_HOURS_NS = 2 * DAY_NS
_COUNTS = ("count", "failed", "slow")


@dataclass(frozen=True)
class Point:
    """The closed requests of one stretch of the period, counted."""

    start_ns: int
    count: int
    failed: int
    slow: int


@dataclass(frozen=True)
class RouteTimes:
    """How long the requests of one route took: all of them together and quantiles, in seconds,
    with the error of ``sketch.RELATIVE_ERROR``."""

    kind: str
    template: str
    count: int
    failed: int
    slow: int
    total_s: float
    median_s: float
    p95_s: float
    p99_s: float


def points(
    engine: Engine, app_id: int, period: Period, wanted_route: str | None = None
) -> tuple[int, list[Point]]:
    """The length of a stretch in nanoseconds, and the stretches in which there were requests."""
    span = period.span()
    table = span.table
    statement = (
        select(
            span.number.label("number"),
            *[func.sum(table.c[name]) for name in _COUNTS],
        )
        .join(route, route.c.id == table.c.route_id)
        .where(route.c.application_id == app_id, *period.touches(span))
        .group_by(span.number)
        .order_by(span.number)
    )
    if wanted_route is not None:
        statement = statement.where(on_route(wanted_route))
    with engine.connect() as connection:
        return span.length_ns, [
            Point(int(number) * span.length_ns, *map(int, counts))
            for number, *counts in connection.execute(statement)
        ]


def route_times(
    engine: Engine, app_id: int, period: Period, wanted_route: str | None = None
) -> list[RouteTimes]:
    """The routes with requests in the period, by the time they took together."""
    span = period.span(_MOST_HOURS_NS)
    table = span.table
    statement = (
        select(table, route.c.kind, route.c.template)
        .join(route, route.c.id == table.c.route_id)
        .where(route.c.application_id == app_id, *period.touches(span))
    )
    if wanted_route is not None:
        statement = statement.where(on_route(wanted_route))
    by_route: dict[int, list[Row[Any]]] = {}
    with engine.connect() as connection:
        for row in connection.execute(statement):
            by_route.setdefault(row.route_id, []).append(row)
    found = [_times(rows) for rows in by_route.values()]
    return sorted(found, key=lambda times: -times.total_s)


def _times(rows: Sequence[Row[Any]]) -> RouteTimes:
    sketch = Sketch.merged([row.sketch for row in rows])
    # By column: thousands of rows are summed while a page waits.
    columns = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    counts = {name: sum(columns[name]) for name in _COUNTS}
    median_s, p95_s, p99_s = ((sketch.quantile(q) or 0.0) / 1e9 for q in (0.5, 0.95, 0.99))
    total_s = sum(columns["duration_ns"]) / 1e9
    kind, template = rows[0].kind, rows[0].template
    return RouteTimes(
        kind, template, **counts, total_s=total_s, median_s=median_s, p95_s=p95_s, p99_s=p99_s
    )
