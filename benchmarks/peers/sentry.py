"""sentry-sdk, with its integrations as it chooses them."""

from __future__ import annotations

import os
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

from . import App


def wsgi(app: App) -> Any:
    _start()
    return SentryWsgiMiddleware(app)


def asgi(app: App) -> Any:
    _start()
    return SentryAsgiMiddleware(app)


def _start() -> None:
    scheme, _, address = os.environ["SENTRY_DSN"].partition("://")
    rate = os.environ.get("BENCH_TRACES")
    sentry_sdk.init(
        dsn=f"{scheme}://{'0' * 32}@{address}/1",
        traces_sample_rate=float(rate) if rate else None,
    )
