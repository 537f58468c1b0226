"""The dashboard as an ASGI application: its addresses, and what an error looks like."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from standfast.errors import StandfastError

from .headers import SecurityHeaders
from .rendering import bare_page
from .site import Site
from .views import account, crashes, export, handing_over, live, overview, requests, suspects
from .visits import FORM_LIMIT, person_of

_log = logging.getLogger("standfast.web")
_STATIC = Path(__file__).parent / "static"


class _Number(Convertor[int]):
    """A number of something in the store: no more digits than a database has for one."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


class _Dashboard(Starlette):
    """Its headers go around everything: the page of a failure, too, and what is refused unread."""

    def build_middleware_stack(self) -> ASGIApp:
        return SecurityHeaders(super().build_middleware_stack())


class _Static(StaticFiles):
    """Files that a browser may keep, but asks each time whether they are still the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(site: Site) -> Starlette:
    """The dashboard over one site. The site is closed when the server stops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        site.close()

    app = _Dashboard(
        routes=_routes(),
        exception_handlers={
            HTTPException: _problem,
            StandfastError: _refused,
            SQLAlchemyError: _store_away,
            ClientDisconnect: _gone,
            500: _broken,
        },
        lifespan=lifespan,
        max_body_size=FORM_LIMIT,
    )
    # Else an address with a slash too many leads to whatever host the request has named.
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.streams = Counter()
    app.state.closing = False
    return app


def _routes() -> list[Route | Mount]:
    of_app = "/apps/{app:number}"
    get, post = ["GET"], ["POST"]
    return [
        Route("/", overview.home, name="home"),
        Route("/signin", account.sign_in, methods=["GET", "POST"], name="signin"),
        Route("/signout", account.sign_out, methods=post, name="signout"),
        Route("/account", account.account, methods=["GET", "POST"], name="account"),
        Route("/shared/{token}", handing_over.shared, name="shared"),
        Route(of_app, overview.overview, methods=get, name="overview"),
        Route(f"{of_app}/crashes", crashes.crashes, methods=get, name="crashes"),
        Route(
            f"{of_app}/crashes/{{incident:number}}",
            crashes.incident, methods=get, name="incident",
        ),
        Route(f"{of_app}/suspects", suspects.suspects, methods=get, name="suspects"),
        Route(f"{of_app}/slow", requests.slow, methods=get, name="slow"),
        Route(f"{of_app}/errors", requests.errors, methods=get, name="errors"),
        Route(f"{of_app}/inflight", requests.inflight, methods=get, name="inflight"),
        Route(f"{of_app}/requests/{{name}}", requests.one, methods=get, name="one"),
        Route(f"{of_app}/report.html", handing_over.report, methods=get, name="report"),
        Route(f"{of_app}/shares", handing_over.shares, methods=["GET", "POST"], name="shares"),
        Route(
            f"{of_app}/shares/{{share:number}}/withdraw",
            handing_over.withdraw, methods=post, name="withdraw",
        ),
        Route(f"{of_app}/live/{{part}}", live.live, methods=get, name="live"),
        Route(f"{of_app}/{{what}}.{{kind}}", export.export, methods=get, name="export"),
        Mount("/static", _Static(directory=_STATIC), name="static"),
    ]  # fmt: skip


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    words = error.detail if error.detail != status.phrase else _WORDS.get(status, status.phrase)
    response = await _page(request, status, words)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _refused(request: Request, error: Exception) -> Response:
    return await _page(request, HTTPStatus.BAD_REQUEST, str(error))


async def _store_away(request: Request, error: Exception) -> Response:
    _log.error("the store does not answer: %s", type(error).__name__)
    response = await _page(
        request, HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer. Try again shortly."
    )
    response.headers["Retry-After"] = "5"
    return response


async def _gone(_: Request, error: Exception) -> Response:
    """Nobody reads this: who sent the form went away in the middle of it."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _broken(request: Request, _: Exception) -> Response:
    return await _page(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "This page has failed, and its server has written down why.",
    )


async def _page(request: Request, status: HTTPStatus, words: str) -> Response:
    def answer() -> Response:
        person = None
        if status not in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR):
            with suppress(SQLAlchemyError):
                person = person_of(request)
        title = status.phrase
        return bare_page(
            request, "problem.html", status, title=title, words=words, signed_in=person
        )

    return await run_in_threadpool(answer)


_WORDS = {
    HTTPStatus.NOT_FOUND: "There is nothing here, or nothing that you may see.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address cannot be used in this way.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "That is more than a form of this page can be.",
}
