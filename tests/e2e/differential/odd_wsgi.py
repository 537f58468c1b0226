"""WSGI applications that do what the standard allows and what it does not, each under one path.

Served bare and recorded; what they can see of their server goes into the response.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Start = Callable[..., Any]
TEXT = [("Content-Type", "text/plain")]


def say(*words: object) -> None:
    """To the server's log, as a whole line."""
    os.write(2, (" ".join(["odd:", *map(str, words)]) + "\n").encode())


class Sequence:
    """An iterable of the old kind."""

    def __getitem__(self, index: int) -> bytes:
        return [b"old", b" ", b"kind"][index]


class Sized:
    """Says how many chunks there are, and is closed."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        yield b"sized"

    def close(self) -> None:
        say("sized closed")


class Lying(Sized):
    """Has another length each time, and hints at a third."""

    def __len__(self) -> int:
        raise ValueError("no length")

    def __length_hint__(self) -> int:
        return 7


class Chunks:
    """An iterator with a ``close`` that may raise."""

    def __init__(self, chunks: Iterable[Any], *, raises: bool = False) -> None:
        self.chunks = iter(chunks)
        self.raises = raises

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> Any:
        return next(self.chunks)

    def close(self) -> None:
        say("chunks closed")
        if self.raises:
            raise RuntimeError("the close of the chunks")


class ListOfOwn(list):  # type: ignore[type-arg]
    """A subclass of list with a close."""

    def close(self) -> None:
        say("own list closed")


def chunked(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"one"
    yield b""
    yield b"three"


def late_start(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    say("begins")
    start("201 Created", [*TEXT, ("X-Late", "yes")])
    try:
        yield b"late"
    finally:
        say("generator closed")


def raises_before(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    raise LookupError("before the start")


def raises_after(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    raise LookupError("after the start")


def raises_first(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    if environ:
        raise LookupError("at the first chunk")
    yield b""


def raises_midway(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "10")])
    yield b"half "
    raise LookupError("midway")


def handled_midway(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    try:
        raise LookupError("handled")
    except LookupError:
        start("500 Oops", TEXT, sys.exc_info())
    return [b"handled"]


def handled_too_late(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"sent"
    try:
        raise LookupError("too late")
    except LookupError:
        start("500 Oops", TEXT, sys.exc_info())
    yield b"never"


def starts_twice(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    start("404 Not Found", TEXT)
    return [b"twice"]


def never_starts(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return [b"unstarted"]


def writes(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    write = start("200 OK", TEXT)
    write(b"written ")
    write(b"twice ")
    return [b"and returned"]


def sees(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """All of the environ that does not depend on the port, the process or the moment."""
    own = {
        key: value
        for key, value in environ.items()
        if not key.startswith(("standfast.", "STANDFAST_")) and key not in os.environ
    }
    lines = [f"{type(environ).__name__} {type(start).__name__ != ''} {len(own)}"]
    for key in sorted(own):
        text = f"{key}={type(own[key]).__name__}"
        if isinstance(own[key], (str, bool, tuple)) and "PORT" not in key:
            text += f":{own[key]!r}"
        lines.append(text)
    start("200 OK", TEXT)
    return ["\n".join(lines).encode()]


def reads(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"]
    size = int(environ.get("CONTENT_LENGTH") or 0)
    parts = [body.read(4), body.readline(), body.read(max(size - 4 - 7, 0))]
    start("200 OK", TEXT)
    return [repr(parts).encode()]


def sends_file(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    wrapper = environ.get("wsgi.file_wrapper")
    data = b"the file " * 1000
    start("200 OK", [*TEXT, ("Content-Length", str(len(data)))])
    if wrapper is None:
        return [data]
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    result: Iterable[bytes] = wrapper(file, 8192)
    return result


def sends_memory(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None or not isinstance(wrapper, type):
        return [b"memory"]
    result: Iterable[bytes] = wrapper(io.BytesIO(b"memory"))
    return result


def changes_environ(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    environ.clear()
    environ["REQUEST_METHOD"] = None
    start("200 OK", TEXT)
    return Chunks([b"cleared"])


def forwards(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """A middleware of the careful kind."""

    def started(status: str, headers: Any, exc_info: Any = None) -> Any:
        return start(status, [*headers, ("X-Seen", status)], exc_info)

    body = chunked(environ, started)
    with contextlib.closing(body) as inner:  # type: ignore[type-var]
        yield from inner


def warns(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    warnings.warn("odd warning", UserWarning, stacklevel=1)
    start("200 OK", TEXT)
    return [b"warned"]


def starts_by_names(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    try:
        start(status="200 OK", headers=TEXT)
    except TypeError:
        start("200 OK", TEXT)
        return [b"refused"]
    return [b"taken"]


def forks(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """A child that ends at once, and how this process hears of it."""
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    heard = os.waitpid(pid, 0)
    start("200 OK", TEXT)
    return [b"%d" % os.waitstatus_to_exitcode(heard[1])]


def joins(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Joins a child that ends when another request of this worker has been answered."""
    import multiprocessing

    path = environ["QUERY_STRING"]
    child = multiprocessing.get_context("fork").Process(target=_until_there, args=(path,))
    child.start()
    child.join()
    start("200 OK", TEXT)
    return [f"joined {child.exitcode}".encode()]


def _until_there(path: str) -> None:
    # Not Python's sleep: gevent's would go on serving in the child.
    libc = ctypes.CDLL(None)
    for _ in range(2000):
        if Path(path).exists():
            os._exit(0)
        libc.usleep(10_000)
    os._exit(9)


def touches(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    Path(environ["QUERY_STRING"]).touch()
    start("200 OK", TEXT)
    return [b"touched"]


def blocks(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Calls into C that come back early where a signal interrupts them."""
    libc = ctypes.CDLL(None, use_errno=True)
    left = libc.sleep(int(environ["QUERY_STRING"]))
    ready = libc.poll(None, 0, 1000)
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(None)
        wait = (ctypes.c_long * 2)(1, 0)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(wait))
        got = libc.recv(one.fileno(), ctypes.create_string_buffer(8), 8, 0)
    start("200 OK", TEXT)
    return [f"sleep {left} poll {ready} recv {got} errno {ctypes.get_errno()}".encode()]


def looked_at(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [repr(Lazy.asked).encode()]


def leaves(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    sys.exit(5)


def ends(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    os._exit(5)


def gives(body: Any) -> Callable[[dict[str, Any], Start], Any]:
    """An application that returns what ``body()`` makes."""

    def app(environ: dict[str, Any], start: Start) -> Any:
        start("200 OK", TEXT)
        return body()

    return app


#: Paths of all that leave the process as it is, in the order in which they are asked for.
ODD: dict[str, Callable[[dict[str, Any], Start], Any]] = {
    "/looked_at": looked_at,
    "/sees": sees,
    "/reads": reads,
    "/list": gives(lambda: [b"a", b"list"]),
    "/tuple": gives(lambda: (b"a tuple",)),
    "/empty": gives(list),
    "/bytearray": gives(lambda: [bytearray(b"an array")]),
    "/text": gives(lambda: "text"),
    "/bytes": gives(lambda: b"bytes"),
    "/none": gives(lambda: None),
    "/number": gives(lambda: 5),
    "/texts": gives(lambda: ["texts"]),
    "/numbers": gives(lambda: [1, 2]),
    "/dict": gives(lambda: {b"keys": 1}),
    "/set": gives(lambda: {b"set"}),
    "/range": gives(lambda: range(3)),
    "/map": gives(lambda: map(bytes, [[65], [66]])),
    "/sequence": gives(Sequence),
    "/sized": gives(Sized),
    "/lying": gives(Lying),
    "/own_list": gives(lambda: ListOfOwn([b"own"])),
    "/chunks": gives(lambda: Chunks([b"c", b"hunks"])),
    "/bad_chunks": gives(lambda: Chunks([b"good", "bad", 3])),
    "/close_raises": gives(lambda: Chunks([b"closes"], raises=True)),
    "/chunked": chunked,
    "/late_start": late_start,
    "/raises_before": raises_before,
    "/raises_after": raises_after,
    "/raises_first": raises_first,
    "/raises_midway": raises_midway,
    "/handled_midway": handled_midway,
    "/handled_too_late": handled_too_late,
    "/starts_twice": starts_twice,
    "/never_starts": never_starts,
    "/writes": writes,
    "/sends_file": sends_file,
    "/sends_memory": sends_memory,
    "/changes_environ": changes_environ,
    "/forwards": forwards,
    "/warns": warns,
    "/starts_by_names": starts_by_names,
    "/forks": forks,
    "/no_status": gives(lambda: [b""]),
}
OTHERS: dict[str, Callable[[dict[str, Any], Start], Any]] = {
    "/joins": joins,
    "/touches": touches,
    "/blocks": blocks,
    "/leaves": leaves,
    "/ends": ends,
}


class Lazy:
    """An application that stands for another one, and notes whatever is asked of it."""

    asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        Lazy.asked.append(name)
        if name == "app":
            raise RuntimeError("the application is not loaded yet")
        return object.__getattribute__(self, name)

    def __bool__(self) -> bool:
        Lazy.asked.append("bool")
        return False

    def __eq__(self, other: object) -> bool:
        Lazy.asked.append("==")
        return False

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, environ: dict[str, Any], start: Start) -> Any:
        path = environ["PATH_INFO"]
        return (ODD.get(path) or OTHERS[path])(environ, start)


app = application = Lazy()
