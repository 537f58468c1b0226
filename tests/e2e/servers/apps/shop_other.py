"""Applications that are neither WSGI nor ASGI: each answers with the number of its process."""

from __future__ import annotations

import os
from typing import Any

import aiohttp.web
import tornado.web


async def answer(_: Any) -> Any:
    return aiohttp.web.Response(text=str(os.getpid()))


class Answer(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(str(os.getpid()))


def aiohttp_app() -> Any:
    made = aiohttp.web.Application()
    made.router.add_get("/", answer)
    return made


def tornado_app() -> Any:
    return tornado.web.Application([("/", Answer)])
