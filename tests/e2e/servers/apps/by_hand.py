"""The shops with a recorder put around them by hand, some within other middleware."""

from __future__ import annotations

from typing import Any

import shop_asgi  # type: ignore[import-not-found]
import shop_wsgi  # type: ignore[import-not-found]

import standfast.asgi
import standfast.wsgi

wsgi = standfast.wsgi.Recorder(shop_wsgi.app)
asgi = standfast.asgi.Recorder(shop_asgi.app)


def wsgi_within(environ: Any, start_response: Any) -> Any:
    """Middleware that the recorder cannot look into, and that hands on a copy."""
    return wsgi(dict(environ), start_response)


async def asgi_within(scope: Any, receive: Any, send: Any) -> None:
    """The same for ASGI."""
    await asgi(dict(scope), receive, send)


class Named:
    """Middleware of the usual build, around the recorder."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, *arguments: Any) -> Any:
        return self.app(*arguments)


wsgi_named = Named(wsgi)
