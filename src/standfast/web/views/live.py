"""Live updates: parts of pages, sent again when they have changed (server-sent events).

The format is that of the HTML standard, section "Server-sent events".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from standfast.store.listing import flying
from standfast.web.rendering import fragment
from standfast.web.visits import Visit, person_of, visit

#: How often a page is brought up to date, in seconds.
EVERY_S = 1.0
#: A stream ends after so long, and the browser asks for the next, in seconds.
LASTS_S = 600.0
_STILL_THERE_S = 15.0
#: Streams at once: each looks into the store every second.
_MOST = 100


def _inflight(found: Visit) -> str:
    rows = flying(found.site.engine, found.app[0])
    return fragment("_inflight.html", rows=rows, now_ns=time.time_ns(), url=found.url)


def _crashes(found: Visit) -> str:
    newest = next(iter(found.site.judgements.of(found.app[0])), None)
    return str(newest.id if newest else 0)


_PARTS: dict[str, Callable[[Visit], str]] = {"inflight": _inflight, "crashes": _crashes}


async def live(request: Request) -> Response:
    """The stream of one part of an application's pages."""
    part = _PARTS.get(request.path_params["part"])
    person = await run_in_threadpool(person_of, request)
    if person is None:
        raise HTTPException(401, "Sign in first.")
    if part is None:
        raise HTTPException(404)
    await run_in_threadpool(visit, request, person, ("time",))
    if request.app.state.streams >= _MOST:
        raise HTTPException(503, "Too many pages are open live: reload this one by hand.")
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(
        _events(request, part), media_type="text/event-stream", headers=headers
    )


async def _events(request: Request, part: Callable[[Visit], str]) -> AsyncIterator[str]:
    state = request.app.state
    state.streams += 1
    try:
        end_s = time.monotonic() + LASTS_S
        said, said_s = None, 0.0
        while (
            time.monotonic() < end_s and not state.closing and not await request.is_disconnected()
        ):
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
    finally:
        state.streams -= 1


def _look(request: Request, part: Callable[[Visit], str]) -> str | None:
    """What there is to say, None once this person may no longer see it."""
    person = person_of(request)
    if person is None:
        return None
    try:
        return part(visit(request, person, ("time",)))
    except HTTPException:
        return None
