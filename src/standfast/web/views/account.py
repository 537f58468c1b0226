"""Signing in and out, and one's own password."""

from __future__ import annotations

import math
import re
import time

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standfast.errors import StandfastError
from standfast.store import people
from standfast.web.rendering import bare_page
from standfast.web.site import KNOWN_COOKIE, SESSION_COOKIE, site_of
from standfast.web.visits import (
    drop_cookie,
    field,
    keep_visitor,
    own_form,
    person_of,
    session_token,
    set_cookie,
    to_sign_in,
)

_INSIDE = re.compile(r"/(?![/\\])[\x21-\x7e]*")


async def sign_in(request: Request) -> Response:
    """The form with name and password, and what comes of it."""
    if request.method != "POST":
        return await run_in_threadpool(_form, request, request.query_params.get("next", ""))
    form = await own_form(request)
    now_ns = time.time_ns()
    found = await run_in_threadpool(_ask, request, form, now_ns)
    if isinstance(found, people.Try):
        site = site_of(request)
        found = await site.sign_ins.look_at(site.engine, found, _address(request))
    return await run_in_threadpool(_enter, request, form, found, now_ns)


def _form(
    request: Request, wanted: str, problem: str = "", name: str = "", status: int = 200
) -> Response:
    response = bare_page(
        request, "signin.html", status, next=_inside(wanted), problem=problem, name=name[:64]
    )
    keep_visitor(request, response)
    return response


def _ask(request: Request, form: FormData, now_ns: int) -> people.Try | people.SignIn:
    engine, name = site_of(request).engine, field(form, "name")
    proof = request.cookies.get(KNOWN_COOKIE + people.browser_label(engine, name), "")
    return people.ask(engine, name, field(form, "password"), _address(request), now_ns, proof)


def _enter(request: Request, form: FormData, found: people.SignIn, now_ns: int) -> Response:
    site = site_of(request)
    name, wanted = field(form, "name"), _inside(field(form, "next"))
    if found.retry_after_s > 0:
        response = _form(request, wanted, _patience(found), name, 429)
        response.headers["Retry-After"] = str(math.ceil(found.retry_after_s))
        return response
    if found.person is None:
        return _form(request, wanted, "This name and password do not fit together.", name, 403)
    before = session_token(request)
    if before is not None:
        people.close_session(site.engine, before)
    token = people.open_session(site.engine, found.person.id, now_ns)
    response = RedirectResponse(f"{request.scope.get('root_path', '')}{wanted}", 303)
    set_cookie(request, response, SESSION_COOKIE, site.signed(token, "session"))
    known = KNOWN_COOKIE + people.browser_label(site.engine, name)
    proof = people.known_browser(site.engine, found.person, now_ns)
    set_cookie(request, response, known, proof, lasts_s=people.KNOWN_S)
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _patience(found: people.SignIn) -> str:
    seconds = math.ceil(found.retry_after_s)
    minutes = math.ceil(seconds / 60)
    wait = f"{seconds} second{'s' * (seconds != 1)}" if seconds <= 90 else f"{minutes} minutes"
    return (
        f"Too many tries. Wait {wait}, then try again. A browser in which you have signed in"
        " before does not wait for the tries of others."
    )


def _inside(wanted: str) -> str:
    """The path within this dashboard to go to: an address may name no other site."""
    return wanted if _INSIDE.fullmatch(wanted) and len(wanted) < 2_000 else "/"


async def sign_out(request: Request) -> Response:
    """Ends this session, or with ``everywhere`` all of this person."""
    form = await own_form(request)
    return await run_in_threadpool(_leave, request, form)


def _leave(request: Request, form: FormData) -> Response:
    engine, token, person = site_of(request).engine, session_token(request), person_of(request)
    if person is not None and field(form, "everywhere"):
        people.close_all_sessions(engine, person.id)
    elif token is not None:
        people.close_session(engine, token)
    response = RedirectResponse(f"{request.scope.get('root_path', '')}/signin", 303)
    drop_cookie(request, response, SESSION_COOKIE)
    return response


async def account(request: Request) -> Response:
    """Who one is here, what one may see, and a new password."""
    if request.method != "POST":
        return await run_in_threadpool(_account, request, None, None)
    form = await own_form(request)
    old = await run_in_threadpool(_ask_old, request, form)
    if isinstance(old, people.Try):
        site = site_of(request)
        looked = await site.sign_ins.look_at(site.engine, old, _address(request))
        return await run_in_threadpool(_account, request, form, looked)
    return await run_in_threadpool(_account, request, form, old)


def _ask_old(request: Request, form: FormData) -> people.Try | people.SignIn | None:
    token, person = session_token(request), person_of(request)
    if token is None or person is None:
        return None
    old = field(form, "old")
    return people.ask_again(site_of(request).engine, person, old, token, time.time_ns())


def _account(request: Request, form: FormData | None, old: people.SignIn | None) -> Response:
    person = person_of(request)
    if person is None:
        return to_sign_in(request)
    problem = ""
    if form is not None and old is not None:
        problem = _new_password(request, form, person, old)
        if not problem:
            # Every session has ended with the old password, this one too.
            response = RedirectResponse(f"{request.scope.get('root_path', '')}/signin", 303)
            drop_cookie(request, response, SESSION_COOKIE)
            return response
    status = 400 if problem else 200
    return bare_page(request, "account.html", status, signed_in=person, problem=problem)


def _new_password(
    request: Request, form: FormData, person: people.Person, old: people.SignIn
) -> str:
    """Sets it; what is wrong with it, empty where nothing is."""
    if old.retry_after_s > 0:
        return _patience(old)
    if old.person is None:
        return "The old password is not right."
    if field(form, "new") != field(form, "again"):
        return "The new password was written in two ways."
    try:
        people.set_password(site_of(request).engine, person.name, field(form, "new"))
    except StandfastError as error:
        return str(error)
    return ""
