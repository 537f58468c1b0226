"""The ASGI twin of ``faulty``: each way to die stands in the event loop's own thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faulty  # type: ignore[import-not-found]  # found in the current folder

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_lock = asyncio.Lock()


async def respond(send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done"})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    path, query = scope["path"], scope["query_string"].decode()
    if path == "/sleep":
        await asyncio.sleep(float(query))
    elif path == "/block":
        # The event loop stands still: nobody else is served meanwhile.
        time.sleep(float(query))
    elif path == "/read_body":
        while (await receive()).get("more_body"):
            pass
    elif path == "/much":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    elif path == "/wait_for_ever":
        async with _lock:
            await asyncio.Event().wait()
    elif path == "/background_segfault":
        await respond(send)
        await asyncio.sleep(1.5)
        faulty.segfault(query)
    elif path == "/background_sleep":
        await respond(send)
        await asyncio.sleep(float(query))
        return
    elif path == "/spin_after_await":
        await asyncio.sleep(0.2)
        faulty.spin(query)
    else:
        faulty.ROUTES.get(path, faulty.plain)(query)
    await respond(send)
