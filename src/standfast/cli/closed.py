"""``standfast report slow``, ``errors`` and ``logged``: requests that were closed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from standfast.cli.tables import (
    Column,
    crop,
    duration,
    harmless,
    line_width,
    moment,
    print_table,
)
from standfast.diagnose import shapes
from standfast.store.queries import Filter, closed, logged


def show_slow(engine: Engine, wanted: Filter, *, as_json: bool) -> int:
    """Prints the requests that were slow."""
    found = closed(engine, "slow", wanted)
    if as_json:
        _print_json([shapes.closed(row) for row in found])
    elif found:
        _print_slow(found)
    else:
        print("No request was slow. Is the watcher running? `standfast doctor` says.")
    return 1 if found else 0


def show_failed(engine: Engine, wanted: Filter, *, as_json: bool) -> int:
    """Prints the requests that failed and, for people, what others have logged."""
    found = closed(engine, "failed", wanted)
    if as_json:
        _print_json([shapes.closed(row) for row in found])
        return 1 if found else 0
    if found:
        _print_failed(found)
    else:
        print("No request failed. Is the watcher running? `standfast doctor` says.")
    _print_logged(logged(engine, wanted))
    return 1 if found else 0


def show_logged(engine: Engine, wanted: Filter, *, as_json: bool) -> int:
    """Prints what was logged as an error in requests that did not fail."""
    found = logged(engine, wanted)
    if as_json:
        _print_json([shapes.logged(row) for row in found])
    elif found:
        _print_logged(found)
    else:
        print("No request that did not fail has logged an error.")
    return 0


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _print_slow(found: Sequence[Any]) -> None:
    several = _of_several(found)
    columns = [
        Column("begun"), *[Column("application")] * several, Column("took", number=True),
        Column("status"), Column("method"), Column("request", flexible=True),
    ]  # fmt: skip
    rows = []
    for row in found:
        begun, *rest = _cells(row)
        rows.append([begun, *_app(row) * several, *rest, row.uri])
    print_table(columns, rows)


def _print_failed(found: Sequence[Any]) -> None:
    """Each with its error on a line of its own: side by side they would leave no room for both."""
    several = _of_several(found)
    for row in found:
        begun, took, status, method = map(harmless, _cells(row))
        head = "  ".join([begun, *map(harmless, _app(row) * several), status, f"{took:>7}"])
        print(crop(f"{head}  {method} {harmless(row.uri)}", line_width()))
        last = harmless((row.error or "").strip().rpartition("\n")[2])
        print(f"    {crop(last, line_width() - 4)}" if last else "    (no exception was recorded)")


def _print_logged(found: Sequence[Any]) -> None:
    if not found:
        return
    print("\nLogged as errors in requests that did not fail:")
    several = _of_several(found)
    columns = [
        Column("times", number=True), Column("last"), *[Column("application")] * several,
        Column("route", flexible=True), Column("error", flexible=True),
    ]  # fmt: skip
    rows = [
        [f"{row.count:,}", moment(row.last_ns), *_app(row) * several, row.template, row.place]
        for row in found
    ]
    print_table(columns, rows)


def _of_several(found: Sequence[Any]) -> bool:
    """Whether rows are of more than one application, so that each has to name its own."""
    return len({row.app for row in found}) > 1


def _app(row: Any) -> list[str]:
    return [row.app[:20]]


def _cells(row: Any) -> list[str]:
    took = duration((row.duration_ns or 0) / 1e9)
    return [moment(row.begun_ns), took, str(row.status or "none"), row.method[:8]]
