"""Functions that are named after a request, so that a stack says which one was running.

One thread that serves many requests (asyncio, gevent, eventlet) says with its number alone nothing
of the request. Its stack does: the application is called by the function of its request's slot, and
the request's number is the slot modulo ``REQUEST_SLOTS``. The slot that was given back last is
taken first, so there are as many as there were requests at a time, and they are in the cache.
"""

from __future__ import annotations

import sys
from itertools import count
from types import FunctionType
from typing import Any, Callable

from ..journal.format import REQUEST_SLOTS, SLOT_PREFIX

#: A slot and its function.
Place = tuple[int, Callable[..., Any]]


class Slots:
    """``function`` under the names of slots. ``free`` has those that nobody uses: take the last
    one, or ``make`` another, and append it when the request is over."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._made = count()
        self.free: list[Place] = []

    def make(self) -> Place:
        """Another place. With more requests at a time than slots, some have one in common."""
        slot = next(self._made) % REQUEST_SLOTS
        name = f"{SLOT_PREFIX}{slot}"
        changes = {"co_name": name}
        if sys.version_info >= (3, 11):
            changes["co_qualname"] = name
        code = self._function.__code__.replace(**changes)
        return slot, FunctionType(code, self._function.__globals__, name)


def call(action: Callable[..., Any], *arguments: Any) -> Any:
    """Calls ``action``: what the slots of synchronous applications do."""
    return action(*arguments)
