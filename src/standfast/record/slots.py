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

from ..journal.format import ANSWER_PLACES, REQUEST_SLOTS, SLOT_PREFIX

#: A slot, its function, and what gives it back: called with the place itself.
Place = tuple[int, Callable[..., Any], Callable[[Any], None]]


class Slots:
    """``function`` under the names of slots. ``free`` has those that nobody uses: take the last
    one, or ``make`` another, and give it back when the request is over. Slots that have no place
    for an answer are taken only while all others are in use."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._made = count()
        self.free: list[Place] = []
        self._spare: list[Place] = []

    def make(self) -> Place:
        """Another place. With more requests at a time than slots, some have one in common."""
        try:
            return self._spare.pop()
        except IndexError:
            pass
        slot = next(self._made) % REQUEST_SLOTS
        name = f"{SLOT_PREFIX}{slot}"
        changes = {"co_name": name}
        if sys.version_info >= (3, 11):
            changes["co_qualname"] = name
        code = self._function.__code__.replace(**changes)
        home = self.free if slot < ANSWER_PLACES else self._spare
        return slot, FunctionType(code, self._function.__globals__, name), home.append


def call(action: Callable[..., Any], *arguments: Any) -> Any:
    """Calls ``action``: what the slots of synchronous applications do."""
    return action(*arguments)
