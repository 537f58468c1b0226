"""An ASGI application with a coroutine that waits for ever, and a stream of events."""

from __future__ import annotations

import asyncio
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/for_ever":
        await asyncio.Event().wait()
    events = scope["path"] == "/events"
    kind = b"text/event-stream" if events else b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": events})
    if events:
        await receive()  # the request
        await receive()  # until the client goes
