"""A WSGI application that keeps its own books: a line for the begin and the end of a request."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

_books = os.open(os.environ["BOOKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    name = environ["QUERY_STRING"]
    os.write(_books, f"begun {name}\n".encode())
    return _answer(name, environ["PATH_INFO"], start_response)


def _answer(name: str, path: str, start_response: Callable[..., Any]) -> Iterator[bytes]:
    try:
        time.sleep(0.004)
        if path == "/die":
            os.abort()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        yield b"ok"
    finally:
        os.write(_books, f"over {name}\n".encode())
