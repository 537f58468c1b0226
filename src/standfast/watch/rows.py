"""Rows of requests that are kept whole.

What is plain, begun and ended without anything between, becomes a row at once, as a tuple; all else
is a dictionary that is filled in as the records come (see ``outcome``).
"""

from __future__ import annotations

import struct
from functools import lru_cache, partial
from typing import Any

from standfast.journal.format import (
    BEGIN_FIXED,
    CUT,
    EVENT_STREAM,
    UNKNOWN,
    WEBSOCKET,
    unpack_error,
)
from standfast.store.places import place
from standfast.store.tables import FAILED, OPEN, SLOW, request, texts_of

from .bounds import DURATION_NS, MOST
from .outcome import Row
from .rollups import Sample
from .routes import SHAPE, Routes
from .source import Source

_BEGIN_SIZE = BEGIN_FIXED.size
#: The last number of the fixed part of a begin record.
_thread = partial(struct.Struct("<Q").unpack_from, offset=_BEGIN_SIZE - 8)
TEXTS = ("client", "method", "uri", "host", "forwarded_for", "user_agent")
COLUMNS = tuple(column.name for column in request.c if column.name != "id")
#: What every plain request has values for, and what some have besides; what is left out is NULL or
#: false. SQLite's driver takes 3 to 4.5 times as long over a None or a bool as over a number.
PLAIN = (
    *("application_id", "worker_id", "route_id", "seq", "outcome", "kind", "begun_ns"),
    *("duration_ns", "cpu_ns", "status", "sent", "thread", "cut", *TEXTS),
)
APP_AT, ROUTE_AT, BEGUN_AT, OUTCOME_AT, STATUS_AT = (
    PLAIN.index(name) for name in ("application_id", "route_id", "begun_ns", "outcome", "status")
)
_WITH_PEER = (*PLAIN, "peer")
_WITH_ERROR = (*PLAIN, "error", "place")
_WITH_BOTH = (*_WITH_ERROR, "peer")
#: Only rows with an error are as long.
PLACE_AT = _WITH_ERROR.index("place")


def path_of(raw: bytes) -> bytes:
    """The path, without its query, in the texts of a begin record."""
    fields = raw.split(b"\0", 3)
    return fields[2].partition(b"?")[0] if len(fields) > 2 else b""


def row_of(
    source: Source, seq: int, begun_ns: int, flags: int, body: bytes, status: int | None = None
) -> Row:
    """The row of a request that has begun; ``status`` is what it will end with, if known."""
    raw = body[_BEGIN_SIZE:]
    websocket = bool(flags & WEBSOCKET)
    routes = source.websocket if websocket else source.http
    peer, texts = _texts(source, raw)
    return {
        "application_id": source.application_id,
        "worker_id": source.worker_id,
        "seq": seq,
        "route_id": _route(routes, path_of(raw), status),
        "incident_id": None,
        "outcome": OPEN,
        "begun_ns": begun_ns,
        "duration_ns": None,
        "background_ns": None,
        "cpu_ns": None,
        "status": None,
        "sent": None,
        "kind": "websocket" if websocket else "stream" if flags & EVENT_STREAM else "http",
        **dict(zip(TEXTS, texts, strict=True)),
        "peer": peer,
        "thread": _thread(body)[0] & MOST,
        "error": None,
        "place": None,
        "cut": bool(flags & CUT),
        "aborted": False,
    }


def plain_row(
    source: Source, begun_ns: int, begin: bytes, end: Sample, error: bytes
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """The row of a plain request that is slow, or has failed: by its status, or with ``error``.

    The names of its columns, which are ``PLAIN`` and perhaps more, and its values.
    """
    seq, duration_ns, cpu_ns, sent, status, _ = end
    raw = begin[_BEGIN_SIZE:]
    peer, texts = _texts(source, raw)
    row = (
        source.application_id,
        source.worker_id,
        _route(source.http, path_of(raw), status),
        seq,
        FAILED if status >= 500 or error else SLOW,
        "http",
        begun_ns,
        duration_ns,
        cpu_ns if cpu_ns <= DURATION_NS else None if cpu_ns == UNKNOWN else DURATION_NS,
        status or None,
        sent if sent <= MOST else None if sent == UNKNOWN else MOST,
        _thread(begin)[0] & MOST,
        0,
        *texts,
    )
    if not error:
        return (PLAIN, row) if peer is None else (_WITH_PEER, (*row, peer))
    row += _error(error)
    return (_WITH_ERROR, row) if peer is None else (_WITH_BOTH, (*row, peer))


@lru_cache(256)
def _error(raw: bytes) -> tuple[str | None, str | None]:
    """The text of an error and its place. The same error comes again and again."""
    text = unpack_error(raw).replace("\0", "\\0")
    return (text, place(text)) if text else (None, None)


def _route(routes: Routes, path: bytes, status: int | None) -> int:
    route = routes.known.get(path) or routes.shapes.get(path.translate(SHAPE))
    return route or routes.of(path, found=status != 404)


def _texts(source: Source, raw: bytes) -> tuple[str | None, list[str]]:
    """The peer, where that is a proxy and not the client, and the six texts."""
    texts = raw.decode("utf-8", "backslashreplace").split("\0")
    if len(texts) != len(TEXTS):  # a hostile journal's
        texts = texts_of(raw)
    if source.proxies is None:
        return None, texts
    peer, forwarded_for = texts[0], texts[4]
    texts[0] = source.proxies.client(peer, forwarded_for)
    return (peer if texts[0] != peer else None), texts
