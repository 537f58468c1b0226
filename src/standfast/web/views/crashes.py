"""The incidents, and one of them as a story."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from standfast.diagnose.verdict import Case, judge, load
from standfast.store.evidence import CURVE, STACK, TRACEBACK, Fact
from standfast.store.period import ALWAYS
from standfast.store.queries import incident_page
from standfast.store.tables import HANG
from standfast.web.charts import time_line
from standfast.web.judgements import Known
from standfast.web.rendering import page
from standfast.web.selection import PAGE_SIZE
from standfast.web.visits import Visit, about_app

from .overview import chosen

ORDERS = {
    "time": lambda known: (known.died_ns, known.id),
    "verdict": lambda known: (known.judged.verdict.party, known.judged.verdict.cause.name),
    "confidence": lambda known: known.judged.verdict.confidence,
    "host": lambda known: (known.host, known.judged.case.pid),
}


#: So many requests of one incident are shown, and in a row of the list.
_SHOWN = 100
_A_ROW = 4


class Event(NamedTuple):
    """Something that happened or was seen, in the story of an incident."""

    at_ns: int
    kind: str
    text: str


@about_app(*ORDERS)
def crashes(visit: Visit) -> Response:
    """All incidents of the selection, a page at a time."""
    selected = ordered(visit)
    shown = selected[visit.selection.offset :][:PAGE_SIZE]
    found = incident_page(visit.site.engine, ids(shown), _A_ROW)
    by_id = {each.row.id: each for each in found}
    rows = [(known, *by_id[known.id]) for known in shown if known.id in by_id]
    return page(visit, "crashes.html", rows=rows, total=len(selected))


def ordered(visit: Visit) -> list[Known]:
    """The incidents of the selection in its order."""
    order, ascending = ORDERS[visit.selection.order], visit.selection.ascending
    return sorted(chosen(visit), key=order, reverse=not ascending)


def ids(found: Sequence[Known]) -> list[int]:
    """The numbers of these incidents."""
    return [known.id for known in found]


@about_app()
def incident(visit: Visit) -> Response:
    """One incident: what was in flight, what was seen, what it comes to."""
    number = visit.request.path_params["incident"]
    if visit.site.judgements.one(visit.app[0], number) is None:
        raise HTTPException(404)
    case = next(iter(load(visit.site.engine, [number])), None)
    if case is None:
        raise HTTPException(404)
    verdict = judge(case)
    curve = case.first(CURVE)
    requests = case.listed(_SHOWN, verdict.culprit)
    return page(
        visit,
        "incident.html",
        case=case,
        requests=requests,
        left_out=len(case.requests) + case.left_out - len(requests),
        verdict=verdict,
        hang=case.kind == HANG,
        line=time_line([one.begun_ns for one in requests], case.died_ns, _samples(curve)),
        story=_story(case),
        stacks=case.all(TRACEBACK, STACK),
        facts=[(fact, json.dumps(dict(fact.data), ensure_ascii=False)) for fact in case.facts],
        suspicion=_suspicion(visit, number),
    )


def _suspicion(visit: Visit, number: int) -> dict[int, float]:
    """How likely each request in flight was it, weighed over all incidents, where known."""
    ranked = visit.site.rankings.of(visit.app, "all", ALWAYS)
    return ranked.culprits.get(number, {}) if ranked is not None else {}


def _samples(curve: Fact | None) -> list[Sequence[float | None]]:
    samples: Any = curve.data.get("samples", []) if curve is not None else []
    return [one for one in samples if isinstance(one, list) and len(one) > 1]


def _story(case: Case) -> list[Event]:
    """What happened and what was seen, in the order of time."""
    told = [
        Event(one.begun_ns, "request", f"{one.method} {one.uri} begins")
        for one in case.requests[:_SHOWN]
    ]
    more = len(case.requests) + case.left_out - _SHOWN
    if more > 0:
        told.append(Event(told[-1].at_ns, "request", f"and {more:,} more requests begin"))
    told += [
        Event(fact.at_ns, fact.kind, f"{_first_lines(fact.text)} [{fact.source}]")
        for fact in case.facts
    ]
    if case.kind == HANG:
        end = "The worker is found to hang."
    else:
        code = "unknown" if case.exit_code is None else f"exit code {case.exit_code}"
        end = f"The worker is dead: {case.signal or code}."
    return sorted([*told, Event(case.died_ns, "end", end)], key=lambda event: event.at_ns)


def _first_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    more = f" … ({len(lines) - 3} more lines, below)" if len(lines) > 3 else ""
    return " / ".join(lines[:3]) + more
