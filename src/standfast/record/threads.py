"""Threads as the operating system knows them, also where gevent or eventlet have their own."""

from __future__ import annotations

import _thread
import sys
from time import thread_time_ns
from types import BuiltinFunctionType
from typing import Any, Callable

from ..journal.format import UNKNOWN


def _real_get_ident() -> Callable[[], int]:
    found: Any = _thread.get_ident
    if not isinstance(found, BuiltinFunctionType):  # patched: it would name the greenlet
        gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
        try:
            if gevent is not None:
                found = gevent.get_original("_thread", "get_ident")
            elif eventlet is not None:
                found = eventlet.original("_thread").get_ident
        except Exception:
            pass  # a version that we do not know: the greenlet's name is better than none
    return found  # type: ignore[no-any-return]


#: The thread that runs this, as a traceback of ``faulthandler`` names it.
get_ident = _real_get_ident()


def is_shared() -> bool:
    """Whether one thread may serve many requests at a time: greenlets are in use."""
    return "gevent" in sys.modules or "eventlet" in sys.modules


#: A request's thread, its place in the order of that thread, whether it was alone there when it
#: began, and the thread's CPU time then.
Turn = tuple[int, int, bool, int]


class CpuTime:
    """The CPU time of requests, where it is theirs: the clock is the thread's, so it says nothing
    of a request that was not alone in its thread, or ends in another one."""

    def __init__(self) -> None:
        self._running: dict[int, set[int]] = {}
        self._begun: dict[int, int] = {}

    def begin(self) -> Turn:
        """To be kept until the request ends."""
        thread = get_ident()
        running = self._running.setdefault(thread, set())
        self._begun[thread] = place = self._begun.get(thread, 0) + 1
        alone = not running
        running.add(place)
        return thread, place, alone, thread_time_ns()

    def used(self, turn: Turn, is_over: bool) -> int:
        """Nanoseconds up to now, ``UNKNOWN`` where others ran in the same thread meanwhile."""
        thread, place, alone, before_ns = turn
        if is_over:
            self._running.get(thread, set()).discard(place)
        if alone and place == self._begun.get(thread) and thread == get_ident():
            return thread_time_ns() - before_ns
        return UNKNOWN
