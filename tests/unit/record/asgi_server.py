"""An ASGI server reduced to its duties: one exchange at a time, and what was recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from standfast.asgi import Recorder
from tests.recorded import Request, read

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

START = {"type": "http.response.start", "status": 201, "headers": []}


class Served:
    """What the server saw of one exchange, and what was recorded of it."""

    def __init__(self, journal: Path, app: App, received: list[Message] | None = None) -> None:
        self.journal = journal
        self.sent: list[Message] = []
        self.received = received or []
        self.app = Recorder(app, name="shop", journal=str(journal))

    async def receive(self) -> Message:
        return self.received.pop(0) if self.received else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def run(self, **scope: Any) -> None:
        asyncio.run(self.call(**scope))

    async def call(self, **scope: Any) -> None:
        await self.app(make_scope(**scope), self.receive, self.send)

    @property
    def request(self) -> Request:
        (request,) = read(self.journal).requests
        return request


def make_scope(**more: Any) -> Message:
    return {
        "type": "http",
        "method": "POST",
        "path": "/pay ments",
        "raw_path": b"/pay%20ments",
        "query_string": b"page=2&token=hunter2",
        "headers": [
            (b"host", b"shop.example"),
            (b"user-agent", b"curl/8"),
            (b"x-forwarded-for", b"198.51.100.7"),
        ],
        "client": ("192.0.2.7", 4711),
        **more,
    }
