"""The least that any recorder of this kind can do: read the clocks and copy the bytes."""

from __future__ import annotations

import mmap
import os
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    SEGMENT_SIZE,
    pack_fields,
    pack_record,
)

from ..traffic import CLIENT, HEADERS, uri
from . import App

_HEADERS = dict(HEADERS)
_FIELDS, _ = pack_fields(
    CLIENT.encode(),
    b"GET",
    uri(1_000_000).encode(),
    _HEADERS["host"].encode(),
    _HEADERS["x-forwarded-for"].encode(),
    _HEADERS["user-agent"].encode(),
)
_BEGIN = pack_record(BEGIN, bytes(BEGIN_FIXED.size) + _FIELDS)
_END = pack_record(END, bytes(END_FIXED.size))


def wsgi(app: App) -> Any:
    copy = _copier()

    def floor(environ: dict[str, Any], start_response: App) -> Any:
        time_ns()
        started = monotonic_ns()
        copy(_BEGIN)
        result = app(environ, start_response)
        monotonic_ns() - started
        copy(_END)
        return result

    return floor


def asgi(app: App) -> Any:
    copy = _copier()

    async def floor(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        time_ns()
        started = monotonic_ns()
        copy(_BEGIN)
        await app(scope, receive, send)
        monotonic_ns() - started
        copy(_END)

    return floor


def _copier() -> Callable[[bytes], None]:
    with Path(os.environ["BENCH_FILE"]).open("wb+") as file:
        os.posix_fallocate(file.fileno(), 0, SEGMENT_SIZE)
        mapped = mmap.mmap(file.fileno(), SEGMENT_SIZE)
    # Through the whole file again and again, as records wander through their segments.
    stride = (len(_BEGIN) + len(_END)) // 2
    places = cycle(range(0, SEGMENT_SIZE - len(_BEGIN), stride))

    def copy(record: bytes) -> None:
        at = next(places)
        mapped[at : at + len(record)] = record

    return copy
