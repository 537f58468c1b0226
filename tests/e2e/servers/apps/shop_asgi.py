"""The ASGI twin of ``shop_wsgi``, with what only ASGI has: WebSockets and background work."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def start(send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def respond(send: Send, body: bytes) -> None:
    await start(send)
    await send({"type": "http.response.body", "body": body})


async def plain(query: str, receive: Receive, send: Send) -> None:
    await respond(send, b"plain")


async def boom(query: str, receive: Receive, send: Send) -> None:
    raise ValueError("boom in the shop")


async def logged(query: str, receive: Receive, send: Send) -> None:
    logging.getLogger("shop").error("the shop logs %s", "an error")
    await respond(send, b"logged")


async def stream(query: str, receive: Receive, send: Send) -> None:
    await start(send)
    for number in range(3):
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
    await send({"type": "http.response.body"})


async def endless(query: str, receive: Receive, send: Send) -> None:
    """Streams for as long as the client listens, as frameworks do it."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.ensure_future(until_gone())
    await start(send)
    for _ in range(1000):
        if gone.done():
            return
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})


async def segv(query: str, receive: Receive, send: Send) -> None:
    ctypes.string_at(0)


async def ends_itself(query: str, receive: Receive, send: Send) -> None:
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(1)
    await respond(send, b"raised")


async def background(query: str, receive: Receive, send: Send) -> None:
    """Responds, and goes on working for a time."""
    await respond(send, b"accepted")
    await asyncio.sleep(float(query))


async def background_segv(query: str, receive: Receive, send: Send) -> None:
    await respond(send, b"accepted")
    await asyncio.sleep(float(query))
    ctypes.string_at(0)


async def echo(query: str, receive: Receive, send: Send) -> None:
    """A WebSocket that says back what it hears, until the client leaves."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def reject(query: str, receive: Receive, send: Send) -> None:
    """A WebSocket that lets nobody in."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.close"})


ROUTES = {
    "/": plain,
    "/boom": boom,
    "/logged": logged,
    "/stream": stream,
    "/endless": endless,
    "/segv": segv,
    "/background": background,
    "/ends_itself": ends_itself,
    "/background-segv": background_segv,
    "/echo": echo,
    "/reject": reject,
}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await ROUTES[scope["path"]](scope["query_string"].decode(), receive, send)
