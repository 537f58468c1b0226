"""A WSGI application whose first act is to write down, for itself, which request it has begun."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

_witness = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    os.write(_witness, environ["QUERY_STRING"].encode() + b"\n")
    time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
