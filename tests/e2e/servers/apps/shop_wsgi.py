"""A WSGI application of which every path is one way for a request to go.

Served by every kind of server, and under any Python from 3.9 on with nothing installed.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any


def plain(query: str) -> Iterable[bytes]:
    return [b"plain"]


def boom(query: str) -> Iterable[bytes]:
    raise ValueError("boom in the shop")


def logged(query: str) -> Iterable[bytes]:
    logging.getLogger("shop").error("the shop logs %s", "an error")
    return [b"logged"]


def stream(query: str) -> Iterable[bytes]:
    for number in range(3):
        time.sleep(0.1)
        yield b"%d" % number


def endless(query: str) -> Iterable[bytes]:
    for _ in range(1000):
        time.sleep(0.01)
        yield b"x" * 65536


def segv(query: str) -> Iterable[bytes]:
    return [ctypes.string_at(0)]


def sleep(query: str) -> Iterable[bytes]:
    time.sleep(float(query))
    return [b"slept"]


def ends_itself(query: str) -> Iterable[bytes]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def ends_its_thread(query: str) -> Iterable[bytes]:
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    return sleep("5")


def ends_its_parent(query: str) -> Iterable[bytes]:
    os.kill(os.getppid(), signal.SIGTERM)
    return [b"sent"]


def stuck(query: str) -> Iterable[bytes]:
    """Like C code that never comes back: not even SIGABRT gets through to Python."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
    return sleep(query)


def about(query: str) -> Iterable[bytes]:
    """What this process is, and which of the modules named in the query it can import."""
    able = {}
    for name in query.split(","):
        try:
            __import__(name)
            able[name] = True
        except ImportError:
            able[name] = False
    facts = {
        "version": ".".join(map(str, sys.version_info[:2])),
        "prefix": sys.prefix,
        "path": sys.path,
        "able": able,
        "marks": {name: value for name, value in os.environ.items() if name.startswith("SHOP_")},
    }
    return [json.dumps(facts).encode()]


ROUTES = {
    "/": plain,
    "/boom": boom,
    "/logged": logged,
    "/stream": stream,
    "/endless": endless,
    "/segv": segv,
    "/sleep": sleep,
    "/stuck": stuck,
    "/ends_itself": ends_itself,
    "/ends_its_thread": ends_its_thread,
    "/ends_its_parent": ends_its_parent,
    "/about": about,
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = ROUTES[environ["PATH_INFO"]](environ.get("QUERY_STRING", ""))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body


app = application


def create() -> Any:
    """A factory, for the servers that call one."""
    return application
