"""Failed requests counted by where the error comes from: tables, how they grow, what they say.

A request is counted in the transaction that stores its row. Where more have failed than are
looked at for one page, the counts answer for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
)

from .dialect import BIG_ID, add_up, insert_new
from .period import DAY_NS, DAYS, HOUR_NS, Period, Span
from .places import PLACE_LIMIT
from .tables import metadata

#: So many kinds are told apart in one application; all others are counted as one.
MOST_KINDS = 500
_CHUNK = 200

#: What failures are told apart by: the place (see ``store.places``), or where there is none (""),
#: the status. With status 0 it is all others, and those that have neither.
failure = Table(
    "failure",
    metadata,
    Column("id", BIG_ID, primary_key=True),
    Column("application_id", ForeignKey("application.id"), nullable=False),
    Column("place", String(PLACE_LIMIT), nullable=False),
    Column("status", Integer, nullable=False),
    UniqueConstraint("application_id", "place", "status"),
)


def _span(name: str, number: str) -> Table:
    """How many there were in each, and when the first and the last began, in nanoseconds."""
    return Table(
        name,
        metadata,
        Column("failure_id", ForeignKey("failure.id"), primary_key=True, autoincrement=False),
        Column(number, BigInteger, primary_key=True, autoincrement=False),
        Column("count", BigInteger, nullable=False),
        Column("first_ns", BigInteger, nullable=False),
        Column("last_ns", BigInteger, nullable=False),
    )


failure_hour = _span("failure_hour", "hour")
failure_day = _span("failure_day", "day")
FAILURE_HOURS = Span(failure_hour, failure_hour.c.hour, HOUR_NS)
FAILURE_DAYS = Span(failure_day, failure_day.c.day, DAY_NS)

#: Place and status, as ``failure`` has them.
_Key = tuple[str, int]
_OTHERS: _Key = ("", 0)


class Kind(NamedTuple):
    """What failures of one application are told apart by, as a row of ``request`` has it."""

    app_id: int
    place: str | None
    status: int | None

    @property
    def key(self) -> _Key:
        return (self.place, 0) if self.place else ("", self.status or 0)


@dataclass(frozen=True)
class ErrorGroup:
    """Failed requests with errors from one place; without a place, those of one status; with
    neither, all others."""

    place: str | None
    status: int | None
    count: int
    first_ns: int
    last_ns: int


def count_failures(connection: Connection, found: Mapping[Kind, Iterable[int]]) -> None:
    """Adds failures, as the moments at which they began, to the counts."""
    by_app: dict[int, dict[_Key, list[int]]] = {}
    for kind, moments in found.items():
        by_app.setdefault(kind.app_id, {}).setdefault(kind.key, []).extend(moments)
    for app_id, of_key in sorted(by_app.items()):
        numbers = _numbers(connection, app_id, sorted(of_key))
        for span in (FAILURE_HOURS, FAILURE_DAYS):
            sums: dict[tuple[int, int], list[int]] = {}
            for key, moments in of_key.items():
                number = numbers.get(key) or numbers[_OTHERS]
                for moment in moments:
                    sums.setdefault((number, moment // span.length_ns), []).append(moment)
            rows = [
                {"failure_id": number, span.number.key: at, "count": len(those)}
                | {"first_ns": min(those), "last_ns": max(those)}
                for (number, at), those in sorted(sums.items())
            ]
            add_up(connection, span.table, rows, sums=["count"], least="first_ns", most="last_ns")


def groups_by_span(
    connection: Connection, app_id: int, period: Period, limit: int
) -> list[ErrorGroup]:
    """Where the errors of whole hours or days come from, the most frequent first."""
    span = FAILURE_DAYS if period.span() is DAYS else FAILURE_HOURS
    counts, ours = span.table.c, failure.c.application_id == app_id
    count = func.sum(counts["count"])
    statement = (
        select(
            failure.c.place, failure.c.status, count, func.min(counts.first_ns),
            func.max(counts.last_ns),
        )
        .join(span.table, counts.failure_id == failure.c.id)
        .where(ours, *period.touches(span))
        .group_by(failure.c.id, failure.c.place, failure.c.status)
        .order_by(count.desc(), failure.c.id)
        .limit(limit)
    )  # fmt: skip
    return [
        ErrorGroup(place or None, status or None, int(number), first_ns, last_ns)
        for place, status, number, first_ns, last_ns in connection.execute(statement)
    ]


def _numbers(connection: Connection, app_id: int, keys: list[_Key]) -> dict[_Key, int]:
    """The numbers of these kinds, and of all others."""
    known = _known(connection, app_id, keys)
    new = [key for key in keys if key not in known]
    if new or _OTHERS not in known:
        mine = select(func.count()).where(failure.c.application_id == app_id)
        room = max(MOST_KINDS - connection.execute(mine).scalar_one(), 0)
        rows = [
            {"application_id": app_id, "place": place, "status": status}
            for place, status in {*new[:room], _OTHERS}
        ]
        connection.execute(insert_new(connection, failure), rows)
        known = _known(connection, app_id, keys)
    return known


def _known(connection: Connection, app_id: int, keys: list[_Key]) -> dict[_Key, int]:
    found: dict[_Key, int] = {}
    places = sorted({place for place, _ in (*keys, _OTHERS)})
    for at in range(0, len(places), _CHUNK):
        some = failure.c.place.in_(places[at : at + _CHUNK])
        rows = connection.execute(select(failure).where(failure.c.application_id == app_id, some))
        found.update({(row.place, row.status): row.id for row in rows})
    return found
