"""The bare applications, and requests as a server hands them over: no two alike."""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

CLIENT = "203.0.113.9"
HEADERS = (
    ("host", "shop.example.org"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example.org/category/garden"),
    ("cookie", "basket=7c1f90; theme=light"),
    ("x-forwarded-for", "198.51.100.23"),
    ("x-forwarded-proto", "https"),
    ("cache-control", "max-age=0"),
    ("sec-fetch-mode", "navigate"),
    ("connection", "keep-alive"),
)
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS]
_ENVIRON: dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "SERVER_SOFTWARE": "gunicorn",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "REMOTE_ADDR": CLIENT,
    "REMOTE_PORT": "41234",
    **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS},
}
_BODY = b"<!doctype html><title>A shop</title><p>A page of it."

Send = Callable[[dict[str, Any]], Awaitable[None]]


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The smallest WSGI application that answers with a page."""
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(_BODY)))])
    return [_BODY]


async def asgi_app(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """The same for ASGI."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(_BODY))],
        }
    )
    await send({"type": "http.response.body", "body": _BODY})


def path(number: int) -> str:
    """A path with a number of its own in it."""
    return f"/shop/item/{number * 7919 % 9_999_991}"


def query(number: int) -> str:
    """A query string that no other request has."""
    return f"page={number % 97}&sort=price&q=lamp+{number * 104_729 % 9_999_991}"


def uri(number: int) -> str:
    """Both, as the client sent them."""
    return f"{path(number)}?{query(number)}"


def environ(number: int) -> dict[str, Any]:
    """A fresh WSGI environ, as gunicorn makes them."""
    made = _ENVIRON.copy()
    made["PATH_INFO"] = at = path(number)
    made["QUERY_STRING"] = asked = query(number)
    made["RAW_URI"] = f"{at}?{asked}"
    return made


def scope(number: int) -> dict[str, Any]:
    """A fresh ASGI scope, as uvicorn makes them."""
    at = path(number)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (CLIENT, 41234),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": at,
        "raw_path": at.encode(),
        "query_string": query(number).encode(),
        "headers": _RAW_HEADERS.copy(),
        "state": {},
    }
