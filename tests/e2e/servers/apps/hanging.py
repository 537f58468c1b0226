"""A WSGI application of which every path is a way not to come to an end, or to grow."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
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


def sleep_in_c(query: str) -> str:
    """The seconds that were left, above 0 where a signal ended it."""
    return str(ctypes.CDLL(None).sleep(int(query)))


def poll_in_c(query: str) -> str:
    """poll(2) of nothing: 0, or -1 and why."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.poll(None, 0, int(query) * 1000)
    return f"{found} {os.strerror(ctypes.get_errno())}"


def receive_in_c(query: str) -> str:
    """recv(2) of a socket on which nothing comes, with a time-out of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    mine, other = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(query), 0))
    with mine, other:
        found = libc.recv(mine.fileno(), ctypes.create_string_buffer(1), 1, 0)
    return f"{found} {os.strerror(ctypes.get_errno())}"


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


ROUTES: dict[str, Callable[[str], str | None]] = {
    "/": plain,
    "/upload": plain,
    "/deadlock": deadlock,
    "/spin": spin,
    "/hold": hold_the_interpreter,
    "/sleep": sleep,
    "/sleep_in_c": sleep_in_c,
    "/poll_in_c": poll_in_c,
    "/receive_in_c": receive_in_c,
    "/files": files,
    "/grow": grow,
}


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/upload":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    said = ROUTES[environ["PATH_INFO"]](environ.get("QUERY_STRING", ""))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(said or "done").encode()]
