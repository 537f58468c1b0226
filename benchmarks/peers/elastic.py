"""elastic-apm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import elasticapm
from elasticapm.contrib.asgi import ASGITracingMiddleware
from elasticapm.utils import get_url_dict
from elasticapm.utils.disttracing import TraceParent
from elasticapm.utils.wsgi import get_current_url, get_environ, get_headers

from . import App


def asgi(app: App) -> Any:
    return ASGITracingMiddleware(app)


def wsgi(app: App) -> Any:
    client = elasticapm.Client()
    elasticapm.instrument()

    def traced(environ: dict[str, Any], start_response: App) -> Any:
        headers = dict(get_headers(environ))
        client.begin_transaction("request", trace_parent=TraceParent.from_headers(headers))
        elasticapm.set_context(lambda: _request(environ), "request")
        elasticapm.set_transaction_name(f"{environ['REQUEST_METHOD']} unknown route")

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            response = {"status_code": int(status[:3]), "headers": dict(headers)}
            elasticapm.set_context(lambda: response, "response")
            elasticapm.set_transaction_outcome(http_status_code=int(status[:3]), override=False)
            elasticapm.set_transaction_result(f"HTTP {status[0]}xx")
            return start_response(status, headers, exc_info)

        try:
            return _Body(app(environ, start), client)
        except Exception:
            client.capture_exception(context={"request": _request(environ)}, handled=False)
            client.end_transaction("HTTP 5xx")
            raise

    return traced


def _request(environ: dict[str, Any]) -> dict[str, Any]:
    return {
        "env": dict(get_environ(environ)),
        "method": environ["REQUEST_METHOD"],
        "socket": {"remote_address": environ["REMOTE_ADDR"]},
        "headers": dict(get_headers(environ)),
        "url": get_url_dict(get_current_url(environ)),
    }


class _Body:
    """Ends the transaction when the server closes the response."""

    def __init__(self, body: Iterable[bytes], client: Any) -> None:
        self._body = body
        self._client = client

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
        self._client.end_transaction()
