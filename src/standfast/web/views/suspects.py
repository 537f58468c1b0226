"""What most likely brings the workers down, weighed over the incidents of a period."""

from __future__ import annotations

from starlette.responses import Response

from standfast.web.ranker import Ranked
from standfast.web.rendering import page
from standfast.web.visits import Visit, about_app


@about_app()
def suspects(visit: Visit) -> Response:
    """The ranking. While the first one is being made, the page asks again by itself."""
    ranked = ranked_for(visit)
    response = page(visit, "suspects.html", ranked=ranked)
    if ranked is None:
        response.headers["Refresh"] = "1"
    return response


def ranked_for(visit: Visit) -> Ranked | None:
    """The ranking of the selected period. Traffic is not counted by host: a filter by host, or
    by route, has no meaning here."""
    selection = visit.selection
    return visit.site.rankings.of(visit.app, selection.name, selection.period)
