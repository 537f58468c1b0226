"""The report to hand over: as a file, and behind a link that ends by itself."""

from __future__ import annotations

import base64
import hashlib
import re
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from standfast.diagnose.page import render
from standfast.diagnose.verdict import Judged, PeriodVerdict, load
from standfast.store import people
from standfast.store.period import Period
from standfast.store.queries import applications
from standfast.web.headers import POLICY
from standfast.web.rendering import page
from standfast.web.site import Site, site_of
from standfast.web.visits import Visit, about_app, field

#: Whoever wants the report waits for its ranking, but not for ever, in seconds.
_PATIENCE_S = 60.0
#: How long a link may last, in seconds, by what the form calls it.
LASTING = {"1": 86_400, "7": 7 * 86_400, "30": 30 * 86_400}


@about_app()
def report(visit: Visit) -> Response:
    """The verdict on the selected period as one self-contained file."""
    response = _page(visit.site, visit.app, visit.selection.period, visit.selection.name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", visit.app[1]) or "application"
    response.headers["Content-Disposition"] = f'attachment; filename="standfast-{name}.html"'
    return response


@about_app()
def shares(visit: Visit) -> Response:
    """The links that are out, and a form for a new one."""
    engine, now_ns = visit.site.engine, time.time_ns()
    if visit.form is not None:
        lasts_s = LASTING.get(field(visit.form, "days"))
        if lasts_s is None:
            raise HTTPException(400, f"A link lasts {', '.join(LASTING)} days.")
        # The link shows the same report to everybody, whenever it is opened.
        since_ns, until_ns = visit.selection.period
        people.add_share(
            engine, visit.person, visit.app[1], since_ns, until_ns or now_ns, lasts_s, now_ns
        )
        return RedirectResponse(visit.url("shares", visit.selection.query()), 303)
    # The host is what the request has named: it is shown, but what is followed does without.
    base = str(visit.request.base_url).rstrip("/")
    links = [
        (share, f"/shared/{visit.site.signed(str(share.id), 'share')}")
        for share in people.shares(engine, visit.app[1], now_ns)
    ]
    return page(visit, "shares.html", links=links, base=base, lasting=LASTING)


@about_app()
def withdraw(visit: Visit) -> Response:
    """Ends a link before its time."""
    people.remove_share(visit.site.engine, visit.request.path_params["share"], visit.app[1])
    return RedirectResponse(visit.url("shares"), 303)


def shared(request: Request) -> Response:
    """The report behind a link, for whoever has it, as long as it lasts."""
    site = site_of(request)
    number = site.unsigned(request.path_params["token"], "share")
    share = people.share(site.engine, int(number), time.time_ns()) if number else None
    found = _application(site, share.app) if share is not None else None
    if share is None or found is None:
        raise HTTPException(404, "This link has ended, or never was one.")
    period = Period(share.since_ns, share.until_ns)
    return _page(site, found, period, f"{share.since_ns}-{share.until_ns}")


def _page(site: Site, app: tuple[int, str], period: Period, name: str) -> HTMLResponse:
    verdict = _verdict(site, app, period)
    ranked = site.rankings.of(app, name, period, _PATIENCE_S)
    if ranked is None:
        raise HTTPException(503, "The report is being made: ask again in a moment.")
    text = render(verdict, ranked.ranking, time.time_ns())
    styles = "".join(
        f" 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
        for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[:1]
    )
    policy = POLICY.replace("style-src 'self'", f"style-src{styles}")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def _application(site: Site, name: str) -> tuple[int, str] | None:
    return next((each for each in applications(site.engine) if each[1] == name), None)


def _verdict(site: Site, app: tuple[int, str], period: Period) -> PeriodVerdict:
    """The verdict on a period, its examples with all their facts."""
    known = list(site.judgements.of(app[0], period))
    verdict = site.judgements.verdict(app[1], period.since_ns, known)
    whole = {
        case.incident_id: case
        for case in load(site.engine, [each.case.incident_id for each in verdict.examples])
    }
    examples = tuple(
        Judged(whole.get(each.case.incident_id, each.case), each.verdict)
        for each in verdict.examples
    )
    return verdict.with_examples(examples)
