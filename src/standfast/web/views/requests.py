"""Requests: the slow, the failed, those in flight, and a single one."""

from __future__ import annotations

import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from standfast.store.listing import (
    COUNTED,
    ORDERS,
    Page,
    Wanted,
    closed_page,
    count_flying,
    error_groups,
    is_turned,
)
from standfast.store.queries import FLYING, Filter, flying, logged, one_request
from standfast.store.series import route_times
from standfast.store.tables import FAILED, SLOW
from standfast.web.rendering import counted, number, page
from standfast.web.selection import PAGE_SIZE, cursor_text
from standfast.web.visits import Visit, about_app

#: So many places are shown at which was only logged, the latest.
_MOST_LOGGED = 20


def wanted(visit: Visit) -> Wanted:
    """What the selection wants of the store."""
    selection = visit.selection
    status = selection.asked.get("status")
    return Wanted(
        visit.app[0],
        selection.period,
        selection.route,
        selection.host,
        selection.search,
        selection.asked.get("place"),
        int(status) if status else None,
    )


@about_app("duration", "time", "route", "status")
def slow(visit: Visit) -> Response:
    """How long requests take, by route, and the slowest."""
    selection = visit.selection
    found = closed_page(
        visit.site.engine, SLOW, wanted(visit), order=selection.order,
        ascending=selection.ascending, after=selection.after, limit=PAGE_SIZE,
    )  # fmt: skip
    times = route_times(visit.site.engine, visit.app[0], selection.period, selection.route)
    return page(
        visit, "slow.html", times=times, **_list(found, turned=is_turned(selection.order, SLOW))
    )


@about_app(*ORDERS)
def errors(visit: Visit) -> Response:
    """Failed requests, by where the error comes from, and each of them."""
    selection = visit.selection
    found = closed_page(
        visit.site.engine, FAILED, wanted(visit), order=selection.order,
        ascending=selection.ascending, after=selection.after, limit=PAGE_SIZE,
    )  # fmt: skip
    places = error_groups(visit.site.engine, wanted(visit))
    routes = (selection.route,) if selection.route is not None else None
    asked = Filter(visit.app[1], selection.period.since_ns, routes, _MOST_LOGGED)
    told = logged(visit.site.engine, asked)
    shown = _list(found, turned=is_turned(selection.order, FAILED))
    return page(visit, "errors.html", places=places, most=COUNTED, logged=told, **shown)


def _list(found: Page, *, turned: bool) -> dict[str, Any]:
    """What the templates want to know of a page; ``turned`` as ``listing.is_turned`` says."""
    after = None if found.after is None else cursor_text(found.after)
    total, part = counted(found.total), None
    if found.is_part:
        most = number(COUNTED)
        if found.total is not None:
            total += f" of the {'first' if turned else 'newest'} {most}"
        part = (
            f"{most} requests were looked at for this page: what is wanted of the others is"
            " further in the list."
            if turned
            else f"In this order are the newest {most} requests: for older ones choose an earlier"
            " period, or the order by time."
        )
    return {"rows": found.rows, "total": total, "after": after, "part": part}


@about_app()
def inflight(visit: Visit) -> Response:
    """What runs now, as the watcher saw it last."""
    return page(visit, "inflight.html", **in_flight_now(visit))


def in_flight_now(visit: Visit) -> dict[str, Any]:
    """What ``_inflight.html`` shows: the oldest, and of how many where those are not all."""
    engine, app_id = visit.site.engine, visit.app[0]
    rows = flying(engine, app_id)
    total = counted(count_flying(engine, app_id)) if len(rows) == FLYING else None
    return {"rows": rows, "total": total, "now_ns": time.time_ns()}


@about_app()
def one(visit: Visit) -> Response:
    """All that is known of one request."""
    name = visit.request.path_params["name"]
    row = one_request(visit.site.engine, visit.app[0], name) if name.isprintable() else None
    if row is None:
        raise HTTPException(
            404, "This request is not kept: only slow, failed and unfinished ones are."
        )
    return page(visit, "request.html", row=row, now_ns=time.time_ns())
