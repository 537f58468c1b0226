"""What the pages show, as files for programs and spreadsheets: the whole selection."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from standfast.diagnose import shapes
from standfast.store.listing import ORDERS, closed_ids, requests_of
from standfast.store.queries import flying, incident_page
from standfast.store.tables import FAILED, SLOW
from standfast.web.visits import Visit, about_app

from .crashes import ids, ordered
from .requests import wanted
from .suspects import ranked_for

_CHUNK = 500
_INCIDENTS = 50
#: What a spreadsheet would take for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def _crashes(visit: Visit) -> Iterator[dict[str, Any]]:
    chosen = ordered(visit)
    for at in range(0, len(chosen), _INCIDENTS):
        part = chosen[at : at + _INCIDENTS]
        verdicts = {known.id: known.judged.verdict for known in part}
        for found in incident_page(visit.site.engine, ids(part)):
            yield shapes.incident(found, verdicts[found.row.id])


def _closed(outcome: str) -> Callable[[Visit], Iterator[dict[str, Any]]]:
    def rows(visit: Visit) -> Iterator[dict[str, Any]]:
        selection, engine = visit.selection, visit.site.engine
        ids = closed_ids(
            engine, outcome, wanted(visit), order=selection.order, ascending=selection.ascending
        )
        for at in range(0, len(ids), _CHUNK):
            yield from map(shapes.closed, requests_of(engine, ids[at : at + _CHUNK]))

    return rows


def _flying(visit: Visit) -> Iterator[dict[str, Any]]:
    now_ns = time.time_ns()
    for row in flying(visit.site.engine, visit.app[0]):
        yield {
            **shapes.request(row, f"{row.uid}-{row.seq}", row.begun_ns),
            "app": row.app,
            "age_s": round(max(now_ns - row.begun_ns, 0) / 1e9, 6),
            "worker_pid": row.pid,
            "state": "running" if row.duration_ns is None else "background",
        }


def _suspects(visit: Visit) -> Iterator[dict[str, Any]]:
    ranked = ranked_for(visit)
    if ranked is None:
        raise HTTPException(503, "The ranking is being made: ask again in a moment.")
    if ranked.ranking is not None:
        yield from ranked.ranking.as_json()


_LISTS: Mapping[str, Callable[[Visit], Iterator[dict[str, Any]]]] = {
    "crashes": _crashes,
    "slow": _closed(SLOW),
    "errors": _closed(FAILED),
    "inflight": _flying,
    "suspects": _suspects,
}


@about_app("time", "duration", "route", "status", "verdict", "confidence", "host")
def export(visit: Visit) -> Response:
    """One list of the selection as JSON or CSV."""
    name, kind = visit.request.path_params["what"], visit.request.path_params["kind"]
    rows = _LISTS.get(name)
    if rows is None or kind not in ("json", "csv"):
        raise HTTPException(404)
    if visit.selection.order not in (ORDERS if name in ("slow", "errors") else _orders(name)):
        raise HTTPException(400, "This list cannot be sorted so.")
    found = rows(visit)
    first = next(found, None)  # what is wrong shows before the answer begins
    text = _json(first, found) if kind == "json" else _csv(first, found)
    media = "application/json" if kind == "json" else "text/csv; charset=utf-8"
    disposition = f'attachment; filename="standfast-{name}.{kind}"'
    return StreamingResponse(text, media_type=media, headers={"Content-Disposition": disposition})


def _orders(name: str) -> tuple[str, ...]:
    return ("time", "verdict", "confidence", "host") if name == "crashes" else ("time",)


def _json(first: dict[str, Any] | None, rest: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield "["
    if first is not None:
        yield json.dumps(first)
        for row in rest:
            yield f",\n{json.dumps(row)}"
    yield "]\n"


def _csv(first: dict[str, Any] | None, rest: Iterator[dict[str, Any]]) -> Iterator[str]:
    if first is None:
        return
    flat = _flat(first)
    yield _line(flat)
    yield _line(_cell(value) for value in flat.values())
    for row in rest:
        yield _line(_cell(value) for value in _flat(row).values())


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level: what is nested becomes columns, lists of it texts."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "requests":
            flat["in_flight"] = len(value) + row.get("requests_left_out", 0)
            flat["requests"] = "\n".join(f"{one['method']} {one['uri']}" for one in value)
        elif isinstance(value, Mapping):
            flat.update({f"{name}_{key}": each for key, each in value.items()})
        else:
            flat[name] = value
    return flat


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    text = "" if value is None else str(value)
    is_number = isinstance(value, (int, float))
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text


def _line(cells: Any) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(cells)
    return file.getvalue()
