"""Functions that are named after a request, so that a stack says which one was running.

One thread that serves many requests (asyncio, gevent, eventlet) says with its number alone nothing
of the request. Its stack does: the application is called by the function of its request's slot.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any, Callable, Optional

from ..journal.format import REQUEST_SLOTS, SLOT_PREFIX

#: ``number & SLOT`` is the slot of a request's number.
SLOT = REQUEST_SLOTS - 1
#: The functions made so far, by their slot.
Made = list[Optional[Callable[..., Any]]]


def slots() -> Made:
    """An empty place for each slot; ``make`` fills it when it is needed."""
    return [None] * REQUEST_SLOTS


def make(made: Made, function: Any, slot: int) -> Callable[..., Any]:
    """``function`` under the name of a slot, for ever: all share what they are made of."""
    name = f"{SLOT_PREFIX}{slot}"
    changes = {"co_name": name}
    if sys.version_info >= (3, 11):
        changes["co_qualname"] = name
    code = function.__code__.replace(**changes)
    made[slot] = named = FunctionType(code, function.__globals__, name)
    return named


def call(action: Callable[..., Any], *arguments: Any) -> Any:
    """Calls ``action``; what the slots of synchronous applications are made of."""
    return action(*arguments)


_calls = slots()


def calling(number: int) -> Callable[..., Any]:
    """``call`` under the name of the slot of request ``number``."""
    slot = number & SLOT
    return _calls[slot] or make(_calls, call, slot)
