"""A stretch of time that somebody asks about, and the roll-ups that answer for it."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Table

from .tables import rollup, rollup_day, rollup_hour

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
_MOST_MINUTES_NS = 2 * HOUR_NS
_MOST_HOURS_NS = 8 * DAY_NS


class Span(NamedTuple):
    """Roll-ups of one length: their table, the column that numbers them, their length."""

    table: Table
    number: Column[int]
    length_ns: int


MINUTES = Span(rollup, rollup.c.minute, MINUTE_NS)
HOURS = Span(rollup_hour, rollup_hour.c.hour, HOUR_NS)
DAYS = Span(rollup_day, rollup_day.c.day, DAY_NS)


class Period(NamedTuple):
    """From ``since_ns`` up to, not including, ``until_ns`` (nanoseconds of the epoch); None is
    the beginning of all records, and now."""

    since_ns: int | None = None
    until_ns: int | None = None

    def span(self, most_hours_ns: int = _MOST_HOURS_NS) -> Span:
        """The roll-ups that tell enough of it and are few enough to be added up at once."""
        if self.since_ns is None:
            return DAYS
        length_ns = (self.until_ns or time.time_ns()) - self.since_ns
        if length_ns <= _MOST_MINUTES_NS:
            return MINUTES
        return HOURS if length_ns <= most_hours_ns else DAYS

    def covers(self, moment: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """The conditions on a column of nanoseconds."""
        conditions = [] if self.since_ns is None else [moment >= self.since_ns]
        return conditions if self.until_ns is None else [*conditions, moment < self.until_ns]

    def touches(self, span: Span) -> list[ColumnElement[bool]]:
        """The conditions on the roll-ups of which some part lies within."""
        conditions = (
            [] if self.since_ns is None else [span.number >= self.since_ns // span.length_ns]
        )
        if self.until_ns is None:
            return conditions
        return [*conditions, span.number <= (self.until_ns - 1) // span.length_ns]


#: All that is recorded.
ALWAYS = Period()
