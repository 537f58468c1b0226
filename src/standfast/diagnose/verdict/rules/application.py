"""What the application did itself: crashed, called itself without end, left, did not start."""

from __future__ import annotations

import re
from collections import Counter

from standfast.diagnose.verdict.ends import ORDERLY_CODES, agreeing, misfits
from standfast.diagnose.verdict.finding import Finding, finding
from standfast.diagnose.verdict.ladder import CERTAIN, LIKELY, STRONG, WEAK
from standfast.diagnose.verdict.orders import is_by_application
from standfast.diagnose.verdict.readings import (
    FATAL,
    Readings,
    cite,
    number,
    text,
)
from standfast.diagnose.verdict.stacks import Stack, stacks_of
from standfast.store import evidence
from standfast.store.evidence import Fact

from . import uwsgi
from .conditions import DISK_FULL, explained_by_platform
from .memory_use import short_of_memory

#: So many frames, of so few places in the code, are a recursion without end.
_DEEP, _REPEATED = 40, 10
_OVERFLOW = re.compile(
    r"stack overflow|Cannot recover from|maximum recursion depth|unable to grow stack", re.I
)


def stack_overflow(seen: Readings) -> Finding | None:
    """app_stack_overflow: a fatal signal whose traceback says so or repeats itself."""
    for fact in seen.case.all(evidence.TRACEBACK, evidence.LOG):
        told = _OVERFLOW.search(fact.text.partition("\nThread")[0])
        deep = _recursion(fact) if fact.kind == evidence.TRACEBACK else ""
        if told or deep:
            said = cite(fact, deep) if deep else cite(fact)
            signals = FATAL & {"SIGSEGV", "SIGBUS", "SIGABRT"}
            return finding(
                "app_stack_overflow",
                CERTAIN if fact.kind == evidence.TRACEBACK else STRONG,
                [said, *_where(fact), *agreeing(seen, signals, ())],
                misfits(seen, signals, ()),
            )
    return None


def _recursion(fact: Fact) -> str:
    """The words for a traceback in which few functions call each other very often."""
    current = _struck(fact)
    frames = [(frame.file, frame.function) for frame in current.frames] if current else []
    if len(frames) < _DEEP:
        return ""
    (file, function), times = Counter(frames).most_common(1)[0]
    if times < _REPEATED or len(set(frames)) > len(frames) / 4:
        return ""
    return f"The traceback has {function} of {file} {times} times over, then is cut off"


def _struck(fact: Fact) -> Stack | None:
    """The thread in which a fatal signal struck."""
    return next((stack for stack in stacks_of(fact) if stack.is_current), None)


def _where(fact: Fact) -> list[str]:
    """Where a crash struck: the innermost call, and the innermost of the application's own."""
    struck = _struck(fact)
    if struck is None or not struck.frames:
        return []
    said = f"It struck in {struck.frames[0].words}"
    if struck.own is not None and struck.own != struck.frames[0]:
        said += f"; the innermost call of the application's own code is {struck.own.words}"
    return [cite(fact, said)]


_KERNEL_FAULT = re.compile(r"segfault at|general protection|traps?:|invalid opcode|divide error")


def crash(seen: Readings) -> Finding | None:
    """app_crash: a signal of the processor or of abort."""
    tracebacks = [
        fact
        for fact in seen.case.all(evidence.TRACEBACK)
        if text(fact.data, "signal") in FATAL or fact.data.get("signal") is None
    ]
    kernel = [f for f in seen.case.all(evidence.LOG) if _KERNEL_FAULT.search(f.text)]
    if not tracebacks and not kernel and seen.end.signal not in FATAL:
        return None
    signals = {text(fact.data, "signal") for fact in tracebacks} | {seen.end.signal}
    if seen.case.all(evidence.TIMEOUT) and not signals & FATAL - {"SIGABRT"}:
        return None  # masters end with SIGABRT what does not answer
    if tracebacks or kernel:
        strength = CERTAIN
    else:
        # Service managers, too, end with it what does not answer.
        strength = LIKELY if seen.end.signal == "SIGABRT" else STRONG
    supports = [cite(fact) for fact in tracebacks + kernel]
    supports += [words for fact in tracebacks for words in _where(fact)]
    # uWSGI catches the signal, writes what it was doing, and leaves with this code.
    codes = (1,) if tracebacks and uwsgi.is_uwsgi(seen) else ()
    supports += agreeing(seen, FATAL, codes)
    contradicts = misfits(seen, FATAL, codes)
    contradicts += [cite(fact) for fact in seen.case.all(evidence.TIMEOUT)]
    aborts = [f for f in seen.case.all(evidence.MASTER_SIGNAL) if text(f.data, "signal") in FATAL]
    contradicts += [cite(fact) for fact in aborts]
    if "SIGBUS" in signals:
        contradicts += [
            f"{cite(fact)} A file in memory that finds no room ends in SIGBUS."
            for fact in DISK_FULL.facts(seen)
        ]
    if "SIGABRT" in signals:
        contradicts += short_of_memory(seen)
        contradicts += [cite(fact) for fact in seen.near(evidence.NO_PROCESSES)]
    return finding("app_crash", strength, supports, contradicts)


def ended_itself(seen: Readings) -> Finding | None:
    """app_exit: SystemExit of the application's own, or an exit code that nobody asked for."""
    code = seen.end.exit_code
    torn = [one for one in seen.torn if one.by_itself]
    sent = [fact for fact in seen.orders if is_by_application(fact)]
    if code is None and not torn and not sent:
        return None
    if seen.case.first(evidence.START_FAILURE) or (seen.stalled and not seen.replaced):
        return None
    if code in uwsgi.CODES and uwsgi.is_uwsgi(seen) and not torn:
        return None
    if seen.torn and not torn and not sent:
        return None  # something else ended its requests: the server, or a signal
    asked = [cite(f) for f in [*seen.orders, *seen.case.all(evidence.SERVICE)] if f not in sent]
    parents = seen.case.all(evidence.PARENT_EXIT)
    asked += [cite(f) for f in parents if (number(f.data, "before_s") or 0.0) > 0]
    if asked and code in ORDERLY_CODES and not torn and not sent:
        return None
    outside = explained_by_platform(seen)
    if sent:
        strength = STRONG
    elif torn:
        # Where the exit is not known, the worker may have outlived the exception.
        strength = CERTAIN if code is not None else STRONG
    elif outside or not code:
        strength = WEAK
    elif seen.case.requests:
        strength = STRONG
    else:
        strength = LIKELY
    supports = [
        f"SystemExit tore a request out of the application's code, raised in {one.raised.words}"
        " (journal)."
        for one in torn[:1]
        if one.raised is not None
    ]
    supports += [cite(fact) for fact in sent]
    signals = {text(fact.data, "signal") or "" for fact in sent}
    supports += agreeing(seen, signals, None)
    if seen.case.requests and not torn and not sent:
        supports.append("It ended while requests were in flight, and no order to end was seen.")
    supports += [
        f"{cite(f)} That was after the worker's own end." for f in parents if _came_after(f)
    ]
    # What the other program ends in says nothing.
    contradicts = [] if seen.replaced else misfits(seen, signals, None)
    contradicts += asked + outside
    return finding("app_exit", strength, supports, contradicts)


def _came_after(fact: Fact) -> bool:
    return (number(fact.data, "before_s") or 0.0) <= 0


#: Exit codes by which gunicorn's and uvicorn's workers say that the application did not load.
_NOT_LOADED = frozenset({3, 4})
#: A worker that ran for longer, in seconds, was not at its start any more.
_START_S = 300.0


def start_failure(seen: Readings) -> Finding | None:
    """app_start_failure: a worker that ended, and of which no request was recorded."""
    failures = [
        fact for fact in seen.case.all(evidence.START_FAILURE) if text(fact.data, "signal") is None
    ]
    hung = seen.case.all(evidence.START_FAILURE) if seen.case.all(evidence.TIMEOUT) else []
    if not failures and not hung:
        return None
    outside = explained_by_platform(seen)
    supports = [cite(fact) for fact in failures or hung]
    ages = [number(fact.data, "age_s") or 0.0 for fact in failures or hung]
    codes = {number(fact.data, "exit_code") for fact in failures}
    if max(ages) > _START_S or outside:
        strength = WEAK
    elif codes & _NOT_LOADED:
        strength = STRONG
    else:
        strength = LIKELY
    if hung:
        supports += [cite(fact) for fact in seen.case.all(evidence.TIMEOUT)]
        supports += [cite(s.fact, f"Its stack was in: {s.top}") for s in seen.stuck]
    if seen.exception is not None and not outside:
        strength = CERTAIN
        supports.append(f"The exception was: {seen.exception[:200]} (log).")
    contradicts = outside if hung else misfits(seen, (), None) + outside
    contradicts += [cite(fact) for fact in seen.case.all(evidence.MASTER_SIGNAL, evidence.SERVICE)]
    return finding("app_start_failure", strength, supports, contradicts)
