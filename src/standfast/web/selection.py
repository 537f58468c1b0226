"""What an address asks for: the period, filters, order and page that stand in its query.

Every view is an address that can be sent to somebody: nothing of this is kept elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from standfast.store.listing import Cursor
from standfast.store.period import DAY_NS, HOUR_NS, Period

#: The periods to choose from, by how they are written in an address.
PERIODS = {
    "1h": ("last hour", HOUR_NS),
    "24h": ("last 24 hours", DAY_NS),
    "7d": ("last 7 days", 7 * DAY_NS),
    "30d": ("last 30 days", 30 * DAY_NS),
    "all": ("whole time on record", None),
}
DEFAULT = "7d"
PAGE_SIZE = 50
_LONGEST = 1_000
_LAST_PAGE = 100_000
_NAMES = ("period", "from", "to", "route", "host", "q", "place", "status", "sort", "page", "after")


class BadQuery(ValueError):
    """An address that asks for what there cannot be; the words say what it could."""


@dataclass(frozen=True)
class Selection:
    """One view. ``name`` stands for the period, ``order`` is one of the page's own columns."""

    name: str
    words: str
    period: Period
    order: str
    ascending: bool
    page: int
    after: Cursor | None
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def route(self) -> str | None:
        """Only this route, or those with this beginning and a star."""
        return self.asked.get("route")

    @property
    def host(self) -> str | None:
        """Only this host."""
        return self.asked.get("host")

    @property
    def search(self) -> str | None:
        """Only what contains this text."""
        return self.asked.get("q")

    @property
    def offset(self) -> int:
        """How many rows lie before the page."""
        return (self.page - 1) * PAGE_SIZE

    def query(self, **changes: object) -> str:
        """The query of an address with some of it changed; None leaves a part out. Whatever
        changes but the place in the list leads back to the first page."""
        parts = dict(self.asked)
        for where in ("page", "after"):
            if where not in changes:
                parts.pop(where, None)
        if "period" in changes:
            parts.pop("from", None)
            parts.pop("to", None)
        for name, value in changes.items():
            if value is None or (name == "period" and value == DEFAULT):
                parts.pop(name, None)
            else:
                parts[name] = str(value)
        return f"?{urlencode(parts)}" if parts else "?"

    def kept(self, *names: str) -> list[tuple[str, str]]:
        """The parts of these names, for the hidden fields of a form."""
        return [(name, self.asked[name]) for name in names if name in self.asked]


def select(asked: Mapping[str, str], now_ns: int, orders: Sequence[str] = ("time",)) -> Selection:
    """Reads a query. The first of ``orders`` is the usual one; ``-`` before a name turns it
    around to descending. Raises BadQuery."""
    parts = {name: asked[name] for name in _NAMES if asked.get(name)}
    if any(len(value) > _LONGEST for value in parts.values()):
        raise BadQuery("What to look for is too long.")
    if any("\0" in value for value in parts.values()):
        raise BadQuery("What to look for has a character in it that no text has.")
    name, words, period = _period(parts, now_ns)
    sort = parts.get("sort", f"-{orders[0]}")
    if sort.removeprefix("-") not in orders:
        raise BadQuery(f"This page can be sorted by {', '.join(orders)}.")
    page = parts.get("page", "1")
    if not (re.fullmatch(r"[0-9]{1,6}", page) and 1 <= int(page) <= _LAST_PAGE):
        raise BadQuery("A page is a number from 1 up.")
    if "status" in parts and not re.fullmatch(r"[0-9]{1,5}", parts["status"]):
        raise BadQuery("A status is a number.")
    order, ascending = sort.removeprefix("-"), not sort.startswith("-")
    after = _cursor(parts["after"], order) if "after" in parts else None
    return Selection(name, words, period, order, ascending, int(page), after, parts)


def cursor_text(after: Cursor) -> str:
    """A cursor as it stands in an address."""
    return f"{after.value}~{after.number}"


def _cursor(text: str, order: str) -> Cursor:
    value, _, number = text.rpartition("~")
    if re.fullmatch(r"[0-9]{1,18}", number):
        if order == "route":
            return Cursor(value, int(number))
        if re.fullmatch(r"-?[0-9]{1,19}", value) and abs(int(value)) < 2**63:
            return Cursor(int(value), int(number))
    raise BadQuery("This is no place in a list: go back to its beginning.")


def _period(parts: dict[str, str], now_ns: int) -> tuple[str, str, Period]:
    if "from" in parts or "to" in parts:
        since_ns = _moment(parts["from"]) if "from" in parts else None
        until_ns = _moment(parts["to"]) if "to" in parts else None
        if since_ns is not None and until_ns is not None and until_ns <= since_ns:
            raise BadQuery("The end of the period lies before its beginning.")
        words = f"from {parts.get('from', 'the first record')} to {parts.get('to', 'now')} (UTC)"
        return f"{since_ns}-{until_ns}", words, Period(since_ns, until_ns)
    chosen = parts.get("period", DEFAULT)
    if chosen not in PERIODS:
        raise BadQuery(f"A period is one of {', '.join(PERIODS)}, or from and to are given.")
    words, length_ns = PERIODS[chosen]
    return chosen, words, Period(None if length_ns is None else now_ns - length_ns)


def _moment(text: str) -> int:
    try:
        if not (text.isascii() and text.isprintable()):  # between date and time it takes anything
            raise ValueError
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        ns = int(when.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        ns = -1
    if not 0 <= ns < 2**63:
        raise BadQuery("A time is written like 2026-11-23T08:00 and is meant in UTC.")
    return ns
