"""Stacks, read: which thread, which request, what it waits for, and where the application stands.

They come as py-spy's data or as faulthandler's text, and neither is to be trusted: everything is
bounded, and read line by line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from standfast.journal.format import SLOT_PREFIX
from standfast.store.evidence import Fact

_MOST_LINES = 5_000
_MOST_FRAMES = 200
_LONGEST = 300
_HEAD = re.compile(r"(Current )?[Tt]hread (0x[0-9a-fA-F]{1,16}|\d{1,20})\b")
_FAULTHANDLER = re.compile(r'File "([^"]{1,200})", line (\d{1,9}) in (\S.{0,200})')
_PY_SPY = re.compile(r"(\S{1,120}) \(([^()]{1,200}):(\d{1,9})\)$")
#: Where servers read from and write to the client's connection.
_CLIENT = re.compile(
    r"gunicorn/(?:http/(?:unreader|body|message|parser|wsgi)|util)\.py|waitress/|"
    r"http/server\.py|wsgiref/|werkzeug/(?:serving|wsgi)\.py|cheroot/"
)
#: What lies between a socket and the code that reads from it.
_PASSING = re.compile(r"(?:^|/)(?:socket|ssl|selectors|_socketcommon|_socket3|io)\.py$|^<")
#: A program in a ``bin`` folder is the one that started the server.
_NOT_ITS_OWN = re.compile(
    r"/lib(?:64)?/python3|site-packages/|dist-packages/|standfast/record/|/bin/[^/.]{1,80}$|^<"
)
_SERVERS = re.compile(
    r"(?:^|/)(?:gunicorn|uvicorn|uvicorn_worker|hypercorn|gevent|eventlet|waitress|werkzeug|"
    r"asyncio|uvloop|concurrent/futures|standfast/record)/|(?:^|/)(?:signal|runpy)\.py$"
)
_LOCK_CALLS = re.compile(
    r"^(?:acquire|_wait_for_tstate_lock|wait|wait_for|join|__enter__)$|futex|pthread_|sem_wait|"
    r"lock_wait"
)
_OUTSIDE = re.compile(
    r"(?:^|/)(?:socket|ssl|selectors|subprocess)\.py$|http/client|urllib|requests/|httpx|psycopg|"
    r"pymysql|MySQLdb|mysql|asyncpg|redis"
)
#: Loops in one thread of which many requests are served.
_LOOP = re.compile(r"(?:^|/)(?:asyncio|uvloop|gevent|eventlet|trio)/")
_OUTSIDE_CALLS = frozenset({"recv", "recv_into", "connect", "poll", "select", "readinto"})
_INNERMOST = 4
_LONGEST_LINE = 1_000
_NAME = re.compile(r"[\w.]{0,200}(?:Error|Exception|Fault)$")


class Frame(NamedTuple):
    """One call."""

    function: str
    file: str
    line: int

    @property
    def words(self) -> str:
        """``step0 (shop.py:40)``."""
        return f"{self.function} ({self.file[-80:]}:{self.line})"

    @property
    def is_its_own(self) -> bool:
        """Whether this is the application's code: none of Python's, of a library's or of ours."""
        if _NOT_ITS_OWN.search(self.file):
            return False
        stem = self.file.rpartition("/")[2].removesuffix(".py")
        return "/" in self.file or stem not in sys.stdlib_module_names

    @property
    def is_of_a_server(self) -> bool:
        """Whether a server, an event loop or the recorder calls here."""
        return _SERVERS.search(self.file) is not None


class Stack(NamedTuple):
    """One thread's calls, the innermost first. ``thread`` is what ``threading.get_ident`` gave, 0
    where that is not known; ``slots`` name the requests that it serves, the innermost first.
    ``active`` says whether it ran on a processor, None where that was not looked at."""

    fact: Fact
    thread: int
    is_current: bool
    slots: tuple[int, ...]
    frames: tuple[Frame, ...]
    active: bool | None = None

    @property
    def top(self) -> str:
        """The innermost calls, in short."""
        shown = [f for f in self.frames if not f.function.startswith(SLOT_PREFIX)]
        return " < ".join(frame.words for frame in shown[:_INNERMOST])

    @property
    def own(self) -> Frame | None:
        """The innermost call of the application's own code."""
        return next((frame for frame in self.frames if frame.is_its_own), None)

    @property
    def is_idle_loop(self) -> bool:
        """Whether this is a loop that serves many requests, and none of them in view."""
        return not self.slots and any(_LOOP.search(frame.file) for frame in self.frames)

    @property
    def waits_for_client(self) -> bool:
        """Whether the server's own code reads from, or writes to, the client's connection."""
        for frame in self.frames:
            if _CLIENT.search(frame.file):
                return True
            if not _PASSING.search(frame.file):
                return False
        return False

    @property
    def waits_for_lock(self) -> bool:
        """Whether it stands at a lock of its own process."""
        return any(_LOCK_CALLS.search(frame.function) for frame in self.frames[:2])

    @property
    def waits_outside(self) -> bool:
        """Whether it waits for another service."""
        return any(
            _OUTSIDE.search(f.file) or f.function in _OUTSIDE_CALLS
            for f in self.frames[:_INNERMOST]
        )


def stacks_of(fact: Fact) -> list[Stack]:
    """The threads that a fact shows."""
    threads = fact.data.get("threads")
    if isinstance(threads, list) and threads:
        return [_from_data(fact, one) for one in threads[:_MOST_FRAMES] if isinstance(one, dict)]
    return list(_from_text(fact))


def last_error(trace: str) -> tuple[str, Frame | None]:
    """The name of the exception that a traceback ends with, and the frame that raised it."""
    lines = trace[-64 * 1024 :].splitlines()[-_MOST_LINES:]
    raised = None
    for line in lines:
        if (found := _FAULTHANDLER.search(line.replace(", in ", " in ", 1))) is not None:
            raised = Frame(found[3].strip(), found[1], int(found[2]))
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.partition(":")[0].strip()[:_LONGEST].rpartition(".")[2], raised


def exception_in(line: str) -> str | None:
    """The exception that a line names at its beginning, or after a log's own words."""
    line = line.rstrip()[:_LONGEST_LINE]
    name, colon, message = line.partition(": ")
    words = name.split()
    if words and _NAME.fullmatch(words[-1]):
        return f"{words[-1]}{colon}{message}"
    # "2026-11-23 …: [error] ValueError: no such": the name stands in a later part.
    words = line.split(" ")
    for at, word in enumerate(words):
        if word.endswith(":") and _NAME.fullmatch(word[:-1]):
            return " ".join(words[at:])
    return words[-1] if _NAME.fullmatch(words[-1]) else None


def _from_data(fact: Fact, one: dict[str, Any]) -> Stack:
    frames = one.get("frames")
    slots = one.get("slots")
    return Stack(
        fact,
        _number(one.get("thread")),
        False,
        tuple(_number(slot) for slot in slots[:_MOST_FRAMES]) if isinstance(slots, list) else (),
        tuple(
            Frame(str(frame[0])[:_LONGEST], str(frame[1])[:_LONGEST], _number(frame[2]))
            for frame in (frames[:_MOST_FRAMES] if isinstance(frames, list) else ())
            if isinstance(frame, list) and len(frame) == 3
        ),
        one.get("active") is True or one.get("gil") is True,
    )


def _from_text(fact: Fact) -> Iterator[Stack]:
    thread, is_current, frames = 0, False, list[Frame]()
    active: bool | None = None
    for line in fact.text.splitlines()[:_MOST_LINES]:
        line = line.strip()[:_LONGEST]
        if head := _HEAD.match(line):
            if frames:
                yield _stack(fact, thread, is_current, frames, active)
            number = head[2]
            thread = int(number, 16 if number.startswith("0x") else 10)
            is_current, frames = bool(head[1]), []
            active = "(active" in line or (None if "(idle" not in line else False)
        elif len(frames) < _MOST_FRAMES and (frame := _frame(line)):
            frames.append(frame)
    if frames:
        yield _stack(fact, thread, is_current, frames, active)


def _stack(
    fact: Fact, thread: int, is_current: bool, frames: list[Frame], active: bool | None
) -> Stack:
    named = [f.function.removeprefix(SLOT_PREFIX) for f in frames if SLOT_PREFIX in f.function]
    slots = tuple(int(name) for name in named if name.isdecimal() and name.isascii())
    return Stack(fact, thread, is_current, slots, tuple(frames), active)


def _frame(line: str) -> Frame | None:
    if found := _FAULTHANDLER.match(line):
        return Frame(found[3], found[1], int(found[2]))
    if found := _PY_SPY.match(line):
        return Frame(found[1], found[2], int(found[3]))
    return None


def _number(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0
