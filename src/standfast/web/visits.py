"""Who visits, what they may see, and that a form was sent from a page of ours.

Every page goes through here. What a person may not see is answered as what is not there.
"""

from __future__ import annotations

import functools
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standfast.store.people import Person, session_person
from standfast.store.queries import applications

from .selection import BadQuery, Selection, select
from .site import SESSION_COOKIE, VISIT_COOKIE, Site, site_of

#: A form is a few fields; more than this is not read, in bytes.
FORM_LIMIT = 16 * 1024
_VISITOR = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Visit:
    """One person who asks for one page. ``app`` is the number and name of the application that
    it is about, ``form`` what was sent along."""

    request: Request
    site: Site
    person: Person
    app: tuple[int, str]
    apps: Sequence[tuple[int, str]]
    selection: Selection
    form: FormData | None = None

    def url(self, name: str, query: str = "", /, **parameters: Any) -> str:
        """The address of a page about the same application."""
        path = self.request.app.url_path_for(name, app=self.app[0], **parameters)
        return f"{self.request.scope.get('root_path', '')}{path}{query if query != '?' else ''}"


Endpoint = Callable[[Request], Awaitable[Response]]


def about_app(
    *orders: str,
) -> Callable[[Callable[[Visit], Response]], Endpoint]:
    """A page about one application, for people who may see it. ``orders`` are the columns by
    which it can be sorted, the usual one first."""

    def decorate(view: Callable[[Visit], Response]) -> Endpoint:
        @functools.wraps(view)
        async def endpoint(request: Request) -> Response:
            form = await own_form(request) if request.method == "POST" else None
            return await run_in_threadpool(answer, request, form)

        def answer(request: Request, form: FormData | None) -> Response:
            person = person_of(request)
            if person is None:
                return to_sign_in(request)
            return view(visit(request, person, orders or ("time",), form))

        return endpoint

    return decorate


def visit(
    request: Request, person: Person, orders: Sequence[str], form: FormData | None = None
) -> Visit:
    """Puts together what a view needs. Raises HTTPException: 404 for what this person may not
    see, 400 for a query that makes no sense."""
    site = site_of(request)
    apps = [each for each in applications(site.engine) if person.may_see(each[1])]
    app = next((each for each in apps if each[0] == request.path_params["app"]), None)
    if app is None:
        raise HTTPException(404)
    try:
        selection = select(request.query_params, time.time_ns(), orders)
    except BadQuery as problem:
        raise HTTPException(400, str(problem)) from None
    return Visit(request, site, person, app, apps, selection, form)


def person_of(request: Request) -> Person | None:
    """Who is signed in, None where nobody is."""
    token = session_token(request)
    return session_person(site_of(request).engine, token, time.time_ns()) if token else None


def session_token(request: Request) -> str | None:
    """The token in the cookie, None where there is none that we have signed."""
    signed = request.cookies.get(SESSION_COOKIE)
    return site_of(request).unsigned(signed, "session") if signed else None


def to_sign_in(request: Request) -> Response:
    """To the page where one signs in, and from there back to where one wanted to go."""
    root = request.scope.get("root_path", "")
    if request.method != "GET":
        return RedirectResponse(f"{root}/signin", 303)
    wanted = request.url.path.removeprefix(root)
    wanted += f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{root}/signin?next={quote(wanted, safe='')}", 303)


def form_seal(request: Request) -> str:
    """What a form of ours carries, and a page of somebody else's cannot know: it belongs to the
    session, or before one is opened to the visit."""
    return site_of(request).seal(_visitor(request), "form")


def _visitor(request: Request) -> str:
    token = session_token(request)
    if token:
        return f"session {token}"
    if not hasattr(request.state, "visitor"):
        known = request.cookies.get(VISIT_COOKIE, "")
        request.state.visitor = known if _VISITOR.fullmatch(known) else secrets.token_urlsafe(32)
    return f"visit {request.state.visitor}"


def keep_visitor(request: Request, response: Response) -> None:
    """Sends along the cookie to which the seal of a form before sign-in belongs."""
    _visitor(request)
    if hasattr(request.state, "visitor"):
        set_cookie(request, response, VISIT_COOKIE, request.state.visitor)


def set_cookie(
    request: Request, response: Response, name: str, value: str, lasts_s: int | None = None
) -> None:
    """Sets a cookie that no script reads and no other site sends along with a form.

    Without ``lasts_s`` it goes when the browser is closed.
    """
    response.set_cookie(
        name,
        value,
        max_age=lasts_s,
        path=request.scope.get("root_path", "") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Has the browser forget a cookie."""
    response.delete_cookie(name, path=request.scope.get("root_path", "") or "/")


async def own_form(request: Request) -> FormData:
    """The form that was sent. Raises HTTPException where it comes from a page of another site,
    or is none of ours."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent from another site.")
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Forms are sent as application/x-www-form-urlencoded.")
    form = await request.form(max_files=0, max_fields=20)
    seal = form.get("seal")
    if not isinstance(seal, str):
        seal = ""
    expected = await run_in_threadpool(form_seal, request)
    if not hmac.compare_digest(seal.encode(), expected.encode()):
        raise HTTPException(403, "This form is too old, or none of ours. Go back and reload it.")
    return form


def field(form: FormData | None, name: str) -> str:
    """A text field of a form, empty where it is not there."""
    value = form.get(name) if form is not None else None
    return value if isinstance(value, str) else ""
