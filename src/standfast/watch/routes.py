"""Paths folded to routes, so that ``/order/17`` and ``/order/18`` count as one."""

from __future__ import annotations

import re

from sqlalchemy import Engine, select

from standfast.store import writing
from standfast.store.tables import TEMPLATE_LIMIT, route

#: What a route is called that came after an application had its number of them.
OTHER = "{other}"
ROUTE_LIMIT = 2000
_PATH_LIMIT = 200
_CUT = "…".encode()

#: A part that is a number, with or without a file's suffix.
_NUMBER = re.compile(rb"(?<=/)[0-9]+(?=/|\.[A-Za-z]|$)")
_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_TOKEN = re.compile(rb"[A-Za-z0-9_~=.-]{20,}")
_WORD_WITH_DIGITS = re.compile(rb"(?=(?:[A-Za-z]*[0-9]){3})[A-Za-z0-9]{20,}")
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def fold_numbers(path: bytes) -> bytes:
    """The cheap half of ``fold``, which is all that most paths need."""
    return _NUMBER.sub(b"{int}", path)


def fold(path: bytes) -> bytes:
    """The route of a path without its query: variable parts become their kind in braces.

    Numbers become ``{int}``, UUIDs ``{uuid}``, and what looks like a digest or a token
    ``{hash}``. Folding a route again changes nothing.
    """
    if not path.startswith(b"/"):
        path = _ORIGIN.sub(b"", path, count=1) or b"/"
    parts = fold_numbers(path).split(b"/")
    folded = b"/".join([_fold_part(part) if len(part) >= 16 else part for part in parts])
    if len(folded) > _PATH_LIMIT:
        return folded[: _PATH_LIMIT - len(_CUT)] + _CUT
    return folded


def _fold_part(part: bytes) -> bytes:
    if _UUID.fullmatch(part):
        return b"{uuid}"
    if _HEX.fullmatch(part) or _WORD_WITH_DIGITS.fullmatch(part) or _is_token(part):
        return b"{hash}"
    return part


def _is_token(part: bytes) -> bool:
    """Long, and with digits, capitals and small letters mixed, as base64 gives them."""
    return bool(
        _TOKEN.fullmatch(part)
        and part != part.lower()
        and part != part.upper()
        and re.search(rb"[0-9]", part)
    )


class Routes:
    """The numbers of one application's routes of one kind (http or websocket).

    ``known`` maps a folded path to its number; it grows to ``limit`` entries at most.
    """

    def __init__(
        self, engine: Engine, application_id: int, kind: str, limit: int = ROUTE_LIMIT
    ) -> None:
        self._engine = engine
        self._application_id = application_id
        self._kind = kind
        self._limit = limit
        self._other: int | None = None
        with engine.connect() as connection:
            rows = connection.execute(
                select(route.c.template, route.c.id)
                .where(route.c.application_id == application_id, route.c.kind == kind)
                .order_by(route.c.id)
                .limit(limit + 1)
            )
            self.known: dict[bytes, int] = {row.template.encode(): row.id for row in rows}

    def number(self, path: bytes, *, found: bool = True) -> int:
        """The number of the route that ``path``, without its query, belongs to.

        One that is new gets a row of its own at once: a route without requests does no harm.
        Where the application did not know the path either (``found`` is false), no new route is
        made: otherwise those who try doors at random would use up the number of them.
        """
        template = fold(path)
        known = self.known.get(template)
        if known:
            return known
        if not found or len(self.known) >= self._limit:
            if self._other is None:
                self._other = self._row(OTHER)
            return self._other
        self.known[template] = number = self._row(_text(template))
        return number

    def _row(self, template: str) -> int:
        values = {
            "application_id": self._application_id,
            "kind": self._kind,
            "template": template,
        }
        with writing(self._engine) as connection:
            number = connection.execute(select(route.c.id).filter_by(**values)).scalar()
            if number is None:
                made = connection.execute(route.insert().values(**values))
                (number,) = made.inserted_primary_key or (0,)
            return int(number)


def _text(template: bytes) -> str:
    return template.decode("utf-8", "backslashreplace")[:TEMPLATE_LIMIT]
