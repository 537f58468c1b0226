"""The verdict as one self-contained HTML page to hand over.

Everything recorded is hostile text: Jinja2 escapes markup, ``harmless`` what would act on a
screen or change the order in which it is read. The page loads nothing and runs no script.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Template

from standfast import __version__

from .suspects import Ranking
from .templates import lines, templates
from .verdict import PARTIES, PeriodVerdict
from .verdict.causes import UNDETERMINED
from .verdict.ladder import LADDER, WORDS
from .words import moment, plural

_BARS = 40
_LONGEST_FACT = 6_000
#: So many requests of one incident are listed, and the culprit.
_LISTED = 50
_WHOSE = {
    "application": "its code and the libraries it uses",
    "platform": "machines, disks, network and the services on them",
    "operator": "deploys, restarts and people at work on the machines",
    "undetermined": "what was seen does not suffice",
}


class Bar(NamedTuple):
    """The incidents of one stretch of the period, by party; heights and places in percent."""

    x: float
    parts: list[tuple[str, float, float]]
    title: str


def render(period: PeriodVerdict, ranking: Ranking | None, now_ns: int) -> str:
    """The page. ``ranking`` are the suspects of the application's incidents, where there are
    any; ``now_ns`` is when the page is made (nanoseconds of the epoch)."""
    return _template().render(
        period=period,
        ranking=ranking,
        now_ns=now_ns,
        version=__version__,
        whose=_WHOSE,
        listed=_LISTED,
        headline=headline(period),
        bars=bars(period.moments),
        peak=peak(period.moments),
        ladder=list(zip(WORDS, LADDER, strict=True))[:4],
        parties=[p for p in PARTIES if period.parties[p]],
        first_examples=_first_of_each_cause(period),
    )


def headline(period: PeriodVerdict) -> str:
    """The answer in one sentence."""
    if not period.incidents:
        return "No worker died or hung in this period."
    count = period.parties[period.party]
    share = "All" if count == period.incidents else f"{count} of"
    total = plural(period.incidents, "incident")
    if period.party == UNDETERMINED:
        return f"The evidence of {total} does not lay most of them to one party."
    if period.incidents == 1:
        return f"The one incident is {_OF[period.party]}."
    return f"{share} {total} are {_OF[period.party]}."


_OF = {
    "application": "the application's own doing",
    "platform": "the platform's doing",
    "operator": "the operator's doing",
}


def bars(moments: tuple[tuple[int, str], ...]) -> list[Bar]:
    """How many incidents there were over time, as stacked bars."""
    counts = _counts(moments)
    if not counts:
        return []
    highest = max(sum(by_party.values()) for by_party in counts.values())
    start, step = _stretches(moments)
    found = []
    for index, by_party in sorted(counts.items()):
        parts, y = [], 100.0
        for party in PARTIES:
            if by_party.get(party):
                height = 100.0 * by_party[party] / highest
                y -= height
                parts.append((party, y, height))
        when = moment(start + index * step)
        title = f"{plural(sum(by_party.values()), 'incident')} from {when}"
        found.append(Bar(100.0 * index / _BARS, parts, title))
    return found


def peak(moments: tuple[tuple[int, str], ...]) -> int:
    """The number of incidents that the highest bar stands for."""
    return max((sum(each.values()) for each in _counts(moments).values()), default=0)


def _stretches(moments: tuple[tuple[int, str], ...]) -> tuple[int, int]:
    start, last = moments[0][0], moments[-1][0]
    return start, max((last - start) // _BARS + 1, 1)


def _counts(moments: tuple[tuple[int, str], ...]) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = {}
    if moments:
        start, step = _stretches(moments)
        for ns, party in moments:
            by_party = counts.setdefault((ns - start) // step, {})
            by_party[party] = by_party.get(party, 0) + 1
    return counts


def _first_of_each_cause(period: PeriodVerdict) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for example in period.examples:
        found.setdefault(example.verdict.cause.name, example)
    return found


@cache
def _template() -> Template:
    environment = templates("standfast.diagnose", "pages")
    environment.filters.update(facts=_fact_lines, numbers=json.dumps, clock=_clock)
    return environment.get_template("verdict.html")


def _fact_lines(text: str) -> str:
    """A page to hand over has many facts: none of them is shown at any length."""
    return lines(text, _LONGEST_FACT)


def _clock(ns: int) -> str:
    """A time to the second, for reading; the facts have it in full."""
    return f"{moment(ns)[:19].replace('T', ' ')} UTC"
