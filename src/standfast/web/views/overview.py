"""Are we standing: crashes, requests, slow and failed ones over time, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standfast.diagnose.page import headline
from standfast.diagnose.verdict import PeriodVerdict
from standfast.store.listing import Wanted, count_flying, error_groups
from standfast.store.period import Period
from standfast.store.queries import applications, first_seen
from standfast.store.series import points
from standfast.web.charts import Bars, over_time
from standfast.web.judgements import Known
from standfast.web.rendering import bare_page, counted, page
from standfast.web.site import site_of
from standfast.web.visits import Visit, about_app, person_of, to_sign_in

_NEWEST = 5


class Standing(NamedTuple):
    """How it is now, in a word and a sentence."""

    word: str
    sentence: str


def home(request: Request) -> Response:
    """The applications that one may see, or the only one at once."""
    person = person_of(request)
    if person is None:
        return to_sign_in(request)
    apps = [each for each in applications(site_of(request).engine) if person.may_see(each[1])]
    if len(apps) == 1:
        path = request.app.url_path_for("overview", app=apps[0][0])
        return RedirectResponse(f"{request.scope.get('root_path', '')}{path}", 303)
    return bare_page(request, "home.html", apps=apps, signed_in=person)


@about_app()
def overview(visit: Visit) -> Response:
    """The first page of an application."""
    engine, now_ns = visit.site.engine, time.time_ns()
    period = visit.selection.period
    known = chosen(visit)
    if period.since_ns is None:  # what has run for an hour shall not be one bar a day wide
        period = Period(first_seen(engine, visit.app[0]), period.until_ns)
    length_ns, counted = points(engine, visit.app[0], period, visit.selection.route)
    charts: Mapping[str, Bars] = {
        "crashes": over_time([(each.died_ns, 1) for each in known], length_ns, period, now_ns),
        "requests": over_time([(p.start_ns, p.count) for p in counted], length_ns, period, now_ns),
        "slow": over_time([(p.start_ns, p.slow) for p in counted], length_ns, period, now_ns),
        "errors": over_time([(p.start_ns, p.failed) for p in counted], length_ns, period, now_ns),
    }
    verdict = verdict_of(visit, known)
    failed = Wanted(visit.app[0], period, visit.selection.route, visit.selection.host)
    return page(
        visit,
        "overview.html",
        charts=charts,
        verdict=verdict,
        headline=headline(verdict),
        newest=known[:_NEWEST],
        found=error_groups(engine, failed, _NEWEST),
        standing=_standing(visit, now_ns),
        empty=not (known or counted),
    )


def chosen(visit: Visit) -> list[Known]:
    """The incidents that the selection wants, the newest first."""
    selection = visit.selection
    found = visit.site.judgements.of(visit.app[0], selection.period)
    if selection.host is selection.route is selection.search is None:
        return list(found)
    wanted = selection.search.casefold() if selection.search else ""
    return [
        known
        for known in found
        if (selection.host is None or known.host == selection.host)
        and (selection.route is None or any(_on(selection.route, each) for each in known.routes))
        and wanted in known.text
    ]


def verdict_of(visit: Visit, known: list[Known]) -> PeriodVerdict:
    """What the verdicts on these incidents come to."""
    since_ns = visit.selection.period.since_ns
    return visit.site.judgements.verdict(visit.app[1], since_ns, known)


def _on(wanted: str, route: str) -> bool:
    return route.startswith(wanted[:-1]) if wanted.endswith("*") else route == wanted


def _standing(visit: Visit, now_ns: int) -> Standing:
    """Whether workers die now, told by the last hour."""
    last_hour = Period(now_ns - 3_600_000_000_000)
    recent = list(visit.site.judgements.of(visit.app[0], last_hour))
    in_flight = count_flying(visit.site.engine, visit.app[0])
    flown = f"{counted(in_flight)} request{'s' * (in_flight != 1)} in flight now."
    if not recent:
        return Standing("standing", f"No worker died in the last hour. {flown}")
    count = f"{len(recent)} worker{'s' * (len(recent) != 1)} died or hung in the last hour"
    return Standing("falling", f"{count}. {flown}")
