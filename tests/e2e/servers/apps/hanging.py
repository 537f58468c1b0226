"""A WSGI application of which every path is a way not to come to an end, or to grow."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

_first, _second = threading.Lock(), threading.Lock()
_MIB = 2**20


def plain(query: str) -> None:
    pass


def deadlock(query: str) -> None:
    """Two requests that each hold what the other one wants."""
    mine, other = (_first, _second) if query == "a" else (_second, _first)
    with mine:
        time.sleep(0.5)
        wait_for(other)


def wait_for(lock: threading.Lock) -> None:
    with lock:
        pass


def spin(query: str) -> None:
    until = time.monotonic() + float(query)
    while time.monotonic() < until:
        pass


def hold_the_interpreter(query: str) -> None:
    """C code that does not let any other thread have its turn."""
    usleep = ctypes.PyDLL(None).usleep
    until = time.monotonic() + float(query)
    while time.monotonic() < until:
        usleep(200_000)


def sleep(query: str) -> None:
    time.sleep(float(query))


def deaf(query: str) -> None:
    """Code that has taken the signal away by which a worker is asked for its stacks."""
    ctypes.CDLL(None).signal(41, None)
    sleep(query)


def files(query: str) -> None:
    """Opens so many files and keeps them."""
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(query))]
    time.sleep(60)
    for fd in held:
        os.close(fd)


def grow(query: str) -> None:
    """100 MiB in ten steps over three seconds."""
    held = []
    for _ in range(10):
        time.sleep(0.3)
        held.append(b"x" * (10 * _MIB))
    time.sleep(60)
    held.clear()


ROUTES = {
    "/": plain,
    "/deadlock": deadlock,
    "/spin": spin,
    "/hold": hold_the_interpreter,
    "/sleep": sleep,
    "/deaf": deaf,
    "/files": files,
    "/grow": grow,
}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    ROUTES[environ["PATH_INFO"]](environ.get("QUERY_STRING", ""))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
