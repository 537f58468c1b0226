"""Which request did it, where the evidence names one; where it does not, the suspects weigh."""

from __future__ import annotations

import re
from typing import NamedTuple

from standfast.store import evidence

from .case import Case, Unfinished
from .causes import APPLICATION, Cause
from .ladder import CERTAIN, LIKELY, STRONG, confidence_at
from .readings import Readings, number
from .rules.memory_use import memory
from .stacks import Stack, stacks_of

#: A request is taken for the one in which memory grew if it began at most so long before the
#: last sample that was still low.
_BEGAN_S = 1.5
_RISE_SEEN = 0.1
#: faulthandler shows so many frames of a thread, the innermost ones.
_SHOWN = 100
#: Servers that have a thread for each request.
_ONE_AT_A_TIME = re.compile(r"SyncWorker|ThreadWorker|waitress|werkzeug|wsgiref|uwsgi", re.I)
_NO_REQUEST = frozenset({"app_start_failure"})


class Culprit(NamedTuple):
    """A request, how probable it is that it did it, and the sentence that says why."""

    request: Unfinished
    probability: float
    why: str


def culprit(seen: Readings, cause: Cause, confidence: float) -> Culprit | None:
    """The request that the evidence names, None where it names none.

    It is never more probable than the cause itself is, except where the application's own
    traceback names its thread.
    """
    if cause.party != APPLICATION or cause.name in _NO_REQUEST:
        return None
    case = seen.case
    certain = confidence_at(CERTAIN)
    elsewhere = False
    if cause.name in ("app_crash", "app_stack_overflow"):
        struck = _struck(case)
        if struck is not None and (found := _in_thread(case, struck)):
            why = "in the frame" if struck.slots else "in the thread"
            words = f"The crash struck {why} of this request (faulthandler)."
            return Culprit(found, certain, words)
        # A thread that serves no request: one of its own, or one of a pool.
        elsewhere = struck is not None
    torn = [one.request for one in seen.torn if one.by_itself]
    if cause.name == "app_exit" and len(torn) == 1:
        return Culprit(torn[0], certain, "SystemExit tore this request out (journal).")
    if cause.name == "app_memory" and _was_large(seen):
        return None
    if len(case.requests) == 1 and not case.left_out:
        probability = min(confidence, confidence_at(LIKELY)) if elsewhere else confidence
        words = "It was the only request in flight in this worker (journal)."
        return Culprit(case.requests[0], probability, words)
    strong = min(confidence, confidence_at(STRONG))
    if cause.name in ("app_timeout", "app_hang") and (stuck := _stuck(seen)):
        return Culprit(stuck, strong, "It is the one that did not end, or whose stack was taken.")
    if cause.name == "app_memory" and (greedy := _greedy(seen)):
        words = "Memory began to grow when this request began, and with no other."
        return Culprit(greedy, strong, words)
    return None


def _only(found: list[Unfinished]) -> Unfinished | None:
    return found[0] if len(found) == 1 else None


def _struck(case: Case) -> Stack | None:
    """The thread in which a fatal signal struck, as its traceback has it."""
    for fact in case.all(evidence.TRACEBACK):
        thread = number(fact.data, "thread")
        shown = next((stack for stack in stacks_of(fact) if stack.is_current), None)
        if shown is not None or thread:
            return shown or Stack(fact, int(thread or 0), True, (), ())
    return None


def _in_thread(case: Case, struck: Stack) -> Unfinished | None:
    """The request that this thread was serving. Where many share a thread, the innermost frame of
    the recorder tells; where there is none in sight, one of several is not named."""
    if struck.slots:
        return _only([one for one in case.requests if one.slot == struck.slots[0]])
    if case.left_out or struck.is_idle_loop or _may_hide_a_loop(case, struck):
        return None  # a loop may run a task of its own
    return _only([one for one in case.requests if one.thread == struck.thread])


def _may_hide_a_loop(case: Case, struck: Stack) -> bool:
    """Whether more calls than are shown may lie between the crash and a loop of many requests, so
    that the frame of the request, if there was one, is out of sight."""
    is_cut = len(struck.frames) >= _SHOWN
    alike = all(one.thread == struck.thread for one in case.requests)
    return is_cut and alike and not _ONE_AT_A_TIME.search(case.server)


def _was_large(seen: Readings) -> bool:
    """Whether most of the memory was there before any of these requests began, a slow leak, or may
    have been: nobody looked in time."""
    known = memory(seen)
    began_s = max(
        ((seen.case.died_ns - one.begun_ns) / 1e9 for one in seen.case.requests), default=0
    )
    before = [pair for pair in seen.column("rss") if began_s <= pair[0] <= began_s + _BEGAN_S]
    first = before[-1][1] if before else known.first
    return first is None or known.last is None or first > known.last / 2


def _stuck(seen: Readings) -> Unfinished | None:
    """The request that a hang names, that has the thread of a stack, or is older than allowed."""
    case = seen.case
    named = {str(fact.data.get("request_id")) for fact in case.all(evidence.HANG)} - {"None"}
    found = [one for one in case.requests if one.name in named]
    shared = {one.thread for one in found or case.requests} - {0}
    if any(stack.slots and stack.thread in shared for stack in seen.stacks):
        # All wait for the one that runs in the thread that they share, and that is in view.
        return _only([one for one in case.requests if _runs(seen, one)])
    if not found:
        threads = {number(f.data, "thread") for f in case.all(evidence.STACK)} - {None, 0}
        found = [one for one in case.requests if one.thread in threads]
    if not found:
        limits = [s for f in case.all(evidence.TIMEOUT) if (s := number(f.data, "timeout_s"))]
        if limits:
            oldest_ns = case.died_ns - int(min(limits[0], 1e9) * 1e9)
            found = [one for one in case.requests if one.begun_ns <= oldest_ns]
    return _only(found)


def _runs(seen: Readings, request: Unfinished) -> bool:
    """Whether the frame of this request stands in a thread that serves many."""
    stack = seen.stack_of(request)
    return stack is not None and bool(stack.slots)


def _greedy(seen: Readings) -> Unfinished | None:
    """The only request that began when memory began to grow.

    One that began well before the rise had been harmless until then, one that began after it did
    not start it. Memory that is taken at once shows in no sample, but in what the kernel killed.
    """
    curve = [pair for pair in seen.column("rss") if pair[0] <= seen.span_s]
    at_end = memory(seen).last
    if curve and at_end is not None and at_end > curve[-1][1]:
        curve.append((0.0, at_end))
    if len(curve) < 2:
        return None
    low, high = min(rss for _, rss in curve), curve[-1][1]
    lowest = max(i for i, (_, rss) in enumerate(curve) if rss - low <= _RISE_SEEN * (high - low))
    if lowest + 1 >= len(curve):
        return None
    low_s, seen_s = (min(max(before_s, 0.0), 1e9) for before_s, _ in curve[lowest : lowest + 2])
    latest_ns = seen.case.died_ns - int(seen_s * 1e9)
    earliest_ns = seen.case.died_ns - int((low_s + _BEGAN_S) * 1e9)
    return _only([r for r in seen.case.requests if earliest_ns <= r.begun_ns <= latest_ns])
