"""Live updates: parts of pages, sent again when they have changed (server-sent events).

The format is that of the HTML standard, section "Server-sent events".
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from standfast.store.people import Person
from standfast.web.rendering import fragment
from standfast.web.visits import Visit, person_of, visit

from .requests import in_flight_now

#: How often a page is brought up to date, in seconds.
EVERY_S = 1.0
#: A stream ends after so long, and the browser asks for the next, in seconds.
LASTS_S = 600.0
_STILL_THERE_S = 15.0
#: Streams at once, of all and of one person: each looks into the store every second.
_MOST = 100
_MOST_OF_ONE = 20


def _inflight(found: Visit) -> str:
    return fragment("_inflight.html", **in_flight_now(found), url=found.url)


def _crashes(found: Visit) -> str:
    newest = next(iter(found.site.judgements.of(found.app[0])), None)
    return str(newest.id if newest else 0)


_PARTS: dict[str, Callable[[Visit], str]] = {"inflight": _inflight, "crashes": _crashes}


class _Stream(StreamingResponse):
    """A stream that counts from before it begins until it is over, however it ends."""

    def __init__(self, request: Request, person: Person, part: Callable[[Visit], str]) -> None:
        headers = {"X-Accel-Buffering": "no"}
        events = _events(request, part)
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._streams: Counter[int] = request.app.state.streams
        self._person = person.id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams[self._person] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams[self._person] -= 1
            self._streams += Counter()  # forgets who has none


async def live(request: Request) -> Response:
    """The stream of one part of an application's pages."""
    part = _PARTS.get(request.path_params["part"])
    person = await run_in_threadpool(person_of, request)
    if person is None:
        raise HTTPException(401, "Sign in first.")
    if part is None:
        raise HTTPException(404)
    await run_in_threadpool(visit, request, person, ("time",))
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")
    streams: Counter[int] = request.app.state.streams
    if streams.total() >= _MOST or streams[person.id] >= _MOST_OF_ONE:
        raise HTTPException(503, "Too many pages are open live: reload this one by hand.")
    return _Stream(request, person, part)


async def _events(request: Request, part: Callable[[Visit], str]) -> AsyncIterator[str]:
    state = request.app.state
    end_s = time.monotonic() + LASTS_S
    said, said_s = None, 0.0
    while time.monotonic() < end_s and not state.closing and not await request.is_disconnected():
        now = await run_in_threadpool(_look, request, part)
        if now is None:
            return
        if now != said:
            yield "".join(f"data: {line}\n" for line in now.splitlines() or [""]) + "\n"
            said, said_s = now, time.monotonic()
        elif time.monotonic() - said_s > _STILL_THERE_S:
            yield ": still there\n\n"
            said_s = time.monotonic()
        await asyncio.sleep(EVERY_S)


def _look(request: Request, part: Callable[[Visit], str]) -> str | None:
    """What there is to say, None once this person may no longer see it or the store is away."""
    try:
        person = person_of(request)
        return None if person is None else part(visit(request, person, ("time",)))
    except (HTTPException, SQLAlchemyError):  # the browser asks again by itself
        return None
