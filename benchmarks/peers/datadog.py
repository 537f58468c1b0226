"""ddtrace, started by its own ``ddtrace-run``."""

from __future__ import annotations

from typing import Any

from ddtrace.contrib.asgi import TraceMiddleware
from ddtrace.contrib.wsgi import DDWSGIMiddleware

from . import App


def wsgi(app: App) -> Any:
    return DDWSGIMiddleware(app)


def asgi(app: App) -> Any:
    return TraceMiddleware(app)
