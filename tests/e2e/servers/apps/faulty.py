"""A WSGI application of which every path is a way to die, or to be in the way of one."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_MIB = 2**20
_held: list[Any] = []
_locks = threading.Lock(), threading.Lock()

_START = os.environ.get("FAULTY_START")
if _START == "raise":
    raise RuntimeError("the setting SHOP_KEY is missing")
if _START == "segfault":
    ctypes.string_at(8)


def plain(query: str) -> None:
    pass


def sleep(query: str) -> None:
    time.sleep(float(query))


def segfault(query: str) -> None:
    ctypes.string_at(8)


def extension(query: str) -> None:
    """A null pointer followed inside the compiled code of an extension module."""
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def heap(query: str) -> None:
    """Frees what was never allocated: the C library notices and aborts."""
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    buffer = ctypes.create_string_buffer(256)
    libc.free(ctypes.addressof(buffer) + 24)


def abort(query: str) -> None:
    os.abort()


class Endless:
    def __repr__(self) -> str:
        return f"<{self!r}>"


def overflow(query: str) -> None:
    sys.setrecursionlimit(10**9)
    repr(Endless())


def grow(query: str) -> None:
    """As much memory as the query says, in MiB, in steps."""
    for _ in range(int(query) // 10):
        _held.append(b"x" * (10 * _MIB))
        time.sleep(0.05)


def burst(query: str) -> None:
    """As much memory as the query says, in MiB, at once."""
    _held.append(b"x" * (int(query) * _MIB))
    time.sleep(5)


def leak(query: str) -> None:
    """Keeps so many MiB of each visit; what follows a "&" tells the visits apart."""
    _held.append(b"x" * (int(query.partition("&")[0]) * _MIB))


def child(query: str) -> None:
    """Waits for a process of its own that takes more memory than there is."""
    held = f"x = b'x' * ({query} * 2**20)"
    prefer = "open('/proc/self/oom_score_adj', 'w').write('1000')"
    subprocess.run([sys.executable, "-c", f"{prefer}; {held}"], check=False)
    time.sleep(60)


def leave(query: str) -> None:
    os._exit(int(query))


def quit(query: str) -> None:
    sys.exit(int(query))


def replace(query: str) -> None:
    """Goes on as another program, under the same number."""
    os.execv("/bin/sleep", ["sleep", "60"])


def overrun(query: str) -> None:
    """Writes far behind the end of a buffer."""
    buffer = ctypes.create_string_buffer(16)
    ctypes.memset(ctypes.addressof(buffer), 0x41, 512 * _MIB)


def read_body(query: str) -> None:
    """What reads the body of a request is in the application itself (see ``app``)."""


def spin(query: str) -> None:
    while True:
        pass


def spin_in_c(query: str) -> None:
    """A pattern that backtracks for years, inside the interpreter's own C code."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def deadlock(query: str) -> None:
    first, second = _locks if query == "a" else _locks[::-1]
    with first:
        time.sleep(0.3)
        with second:
            pass


def hold(query: str) -> None:
    """Holds the lock while it computes something that has no end."""
    with _locks[0]:
        spin(query)


def hold_and_ask(query: str) -> None:
    """Holds the lock while it waits for another service, which never answers."""
    with (
        _locks[0],
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname()) as service,
        service.makefile() as answer,
    ):
        answer.readline()


def want(query: str) -> None:
    """Waits for the lock."""
    with _locks[0]:
        pass


def files(query: str) -> None:
    """Opens files and forgets them, until there are no more; then nothing works any longer."""
    try:
        while True:
            _held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        time.sleep(1)
        os._exit(1)


def mapped(query: str) -> None:
    """Writes into a file in memory for which its disk has no room."""
    fd = os.open(f"{query}/mapped", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 64 * _MIB)
    with mmap.mmap(fd, 64 * _MIB) as area:
        for at in range(0, 64 * _MIB, 4096):
            area[at] = 1


def truncated(query: str) -> None:
    """Reads behind the end of a file that it has itself cut."""
    fd = os.open(f"{query}/cut", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, _MIB)
    area = mmap.mmap(fd, _MIB)
    os.ftruncate(fd, 0)
    bytes(area)


def log(query: str) -> None:
    """Gives up where it cannot write its log; holds the folder open, as programs do."""
    _held.append(os.open(query, os.O_RDONLY))
    try:
        with Path(query, "log").open("a") as file:
            file.write("visited\n")
    except OSError:
        time.sleep(0.5)
        os._exit(1)


def database(query: str) -> None:
    """Waits for its database, for ever."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(query)), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def threads(query: str) -> None:
    """Starts so many threads, and gives up where there are no more to be had."""
    try:
        for _ in range(int(query)):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        time.sleep(1.5)
        os._exit(1)


ROUTES = {
    f"/{function.__name__}": function
    for function in (
        plain, sleep, segfault, extension, heap, overrun, abort, overflow,
        grow, burst, leak, child, leave, quit, replace, read_body,
        spin, spin_in_c, deadlock, hold, hold_and_ask, want,
        files, mapped, truncated, log, database, threads,
    )
}  # fmt: skip


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/read_body":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    ROUTES.get(environ["PATH_INFO"], plain)(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
