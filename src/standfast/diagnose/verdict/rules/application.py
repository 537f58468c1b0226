"""What the application did itself."""

from __future__ import annotations

import re
from collections import Counter

from standfast.diagnose.verdict.finding import (
    CERTAIN,
    LIKELY,
    STRONG,
    WEAK,
    Finding,
    agreeing,
    finding,
    misfits,
)
from standfast.diagnose.verdict.readings import (
    FATAL,
    STOPPING,
    Readings,
    cite,
    number,
    text,
)
from standfast.diagnose.words import size
from standfast.store import evidence
from standfast.store.evidence import Fact

from .shared import (
    DATABASE,
    DISK_FULL,
    NO_FILES,
    Whose,
    counted_kills,
    explained_by_platform,
    overload,
    short_of_memory,
    stall,
    threads_made,
    told_to_end_before,
)
from .shared import (
    memory as memory_of,
)

_KILLED = frozenset({"SIGKILL"})
#: Exit codes of an orderly end; a shell gives 128 and the number of the signal.
ORDERLY_CODES = frozenset({0, 130, 143})


def memory(seen: Readings) -> Finding | None:
    """app_memory: an out-of-memory kill, and the memory was the worker's own."""
    killed, counted = seen.case.all(evidence.OOM_KILL), counted_kills(seen)
    own = memory_of(seen)
    supports = [cite(fact) for fact in killed + counted]
    if killed or (counted and seen.end.signal in (None, "SIGKILL")):
        if own.whose is Whose.OTHERS:
            return None
        grown = CERTAIN if own.grew and killed else STRONG
        strength = grown if own.whose is Whose.OWN else WEAK
    elif seen.end.signal == "SIGKILL" and own.grew and own.whose is Whose.OWN:
        # A killer in user space, or a kernel log that may not be read.
        short = short_of_memory(seen)
        strength = STRONG if short else LIKELY
        supports = short
    else:
        return None
    contradicts = misfits(seen, _KILLED, ())
    if not killed and not counted:
        unchanged = seen.case.all(evidence.OOM_COUNTER)
        contradicts += [cite(f, "The kernel counted no kill for want of memory") for f in unchanged]
        contradicts += [cite(f) for f in seen.case.all(evidence.TIMEOUT, evidence.MASTER_SIGNAL)]
    for neighbour in seen.near(evidence.NEIGHBOUR_OOM_KILL):
        other = number(neighbour.data, "rss_bytes")
        if other is not None and (own.last is None or other > own.last):
            words = f"Another process was larger, with {size(other)}"
            contradicts.append(cite(neighbour, words))
    supports += own.sentences + agreeing(seen, _KILLED, ())
    return finding("app_memory", strength, supports, contradicts)


#: So many frames, of so few places in the code, are a recursion without end.
_DEEP, _REPEATED = 40, 10
_OVERFLOW = re.compile(
    r"stack overflow|Cannot recover from|maximum recursion depth|unable to grow stack", re.I
)
_FRAME = re.compile(r'^\s*File "(.*?)", line \d+ in (.+)$', re.M)


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
                [said, *agreeing(seen, signals, ())],
                misfits(seen, signals, ()),
            )
    return None


def _recursion(fact: Fact) -> str:
    """The words for a traceback in which few functions call each other very often."""
    current = fact.text.partition("Current thread")[2].partition("\nThread")[0]
    frames = _FRAME.findall(current)
    if len(frames) < _DEEP:
        return ""
    (file, function), times = Counter(frames).most_common(1)[0]
    if times < _REPEATED or len(set(frames)) > len(frames) / 4:
        return ""
    return f"The traceback has {function} of {file} {times} times over, then is cut off"


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
    supports += agreeing(seen, FATAL, ())
    contradicts = misfits(seen, FATAL, ())
    contradicts += [cite(fact) for fact in seen.case.all(evidence.TIMEOUT, evidence.MASTER_SIGNAL)]
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
    """app_exit: an exit code that nobody asked for."""
    code = seen.end.exit_code
    torn = [request for request in seen.case.requests if request.aborted]
    if code is None and not torn:
        return None
    if seen.stalled or seen.case.first(evidence.START_FAILURE):
        return None
    orders = (evidence.MASTER_SIGNAL, evidence.SERVICE, evidence.PARENT_EXIT)
    asked = [cite(fact) for fact in seen.case.all(*orders)]
    if asked and code in ORDERLY_CODES and not torn:
        return None
    outside = explained_by_platform(seen)
    if torn:
        strength = CERTAIN
    elif outside:
        strength = WEAK
    elif seen.case.requests and code:
        strength = STRONG
    else:
        strength = LIKELY
    supports = [
        "A request was torn out of the application's code by SystemExit (journal)."
        for _ in torn[:1]
    ]
    supports += agreeing(seen, (), None)
    if seen.case.requests and not torn:
        supports.append("It ended while requests were in flight, and no server asked it to.")
    return finding("app_exit", strength, supports, misfits(seen, (), None) + asked + outside)


def start_failure(seen: Readings) -> Finding | None:
    """app_start_failure: an exit code before the first request."""
    failures = [
        fact for fact in seen.case.all(evidence.START_FAILURE) if text(fact.data, "signal") is None
    ]
    if not failures:
        return None
    outside = explained_by_platform(seen)
    supports = [cite(fact) for fact in failures]
    strength = WEAK if outside else STRONG
    if seen.exception is not None and not outside:
        strength = CERTAIN
        supports.append(f"The exception was: {seen.exception[:200]} (log).")
    contradicts = misfits(seen, (), None) + outside
    contradicts += [cite(fact) for fact in seen.case.all(evidence.MASTER_SIGNAL, evidence.SERVICE)]
    return finding("app_start_failure", strength, supports, contradicts)


#: How a worker may end that was killed because it did not answer.
_TIMED_OUT = frozenset({"SIGKILL", "SIGABRT", "SIGTERM", "SIGQUIT", "SIGINT"})


def timeout(seen: Readings) -> Finding | None:
    """app_timeout: the server says that it killed the worker for taking too long."""
    said = seen.case.all(evidence.TIMEOUT)
    if not said or told_to_end_before(seen):
        return None
    # A worker that is told to abort may still leave by itself: gunicorn's exits with 1.
    return _stalled(seen, "app_timeout", [cite(fact) for fact in said], _TIMED_OUT, {0, 1})


def hang(seen: Readings) -> Finding | None:
    """app_hang: a request open for longer than a request may take, and no time-out ended it."""
    said = seen.hangs
    if seen.case.all(evidence.TIMEOUT) or not seen.stalled:
        return None
    supports = [cite(f) for f in said] or ["The watcher found a request that does not end."]
    found = _stalled(seen, "app_hang", supports, _TIMED_OUT | STOPPING, {0, 143})
    ended = seen.case.all(evidence.MASTER_SIGNAL, evidence.SERVICE, evidence.OOM_KILL)
    found.contradicts += [f"{cite(fact)} That, not the hang, ended it." for fact in ended]
    found.contradicts += [cite(f) for f in seen.case.all(evidence.HANG) if f.data.get("over")]
    return found


def _stalled(
    seen: Readings, name: str, supports: list[str], signals: frozenset[str], codes: set[int]
) -> Finding:
    doing = stall(seen)
    strength = {"busy": CERTAIN, "lock": CERTAIN, "outside": LIKELY}.get(doing.nature, STRONG)
    contradicts = misfits(seen, signals, codes)
    if doing.nature != "busy":
        contradicts += [cite(fact) for fact in DATABASE.facts(seen)]
        contradicts += overload(seen).sentences
    for fact in seen.near(evidence.CLOCK_JUMP):
        if abs(number(fact.data, "jump_s") or 0.0) >= 1.0:
            contradicts.append(f"{cite(fact)} A clock that jumps makes times look too long.")
    supports = supports + doing.sentences + agreeing(seen, signals, codes)
    return finding(name, strength, supports, contradicts)


#: Handles have leaked when they are this many times as many as at first, and at least so many.
_LEAK_FACTOR, _LEAK_COUNT = 1.5, 20
_AT_LIMIT = 0.9


def files(seen: Readings) -> Finding | None:
    """app_files: the worker's own handles reached its limit."""
    told = [f for f in seen.near(evidence.NO_FILES) if f.data.get("scope") != "host"]
    rise = seen.rise("descriptors")
    limit = number(seen.curve.data, "descriptor_limit") if seen.curve else None
    supports = [cite(fact) for fact in told]
    grew = False
    if rise is not None and seen.curve is not None:
        first, last = rise
        grew = last >= _LEAK_FACTOR * first and last - first >= _LEAK_COUNT
        words = f"The worker's open files went from {first:.0f} to {last:.0f}"
        words += f" of {limit:.0f}" if limit else ""
        if grew or (limit and last >= _AT_LIMIT * limit):
            supports.append(cite(seen.curve, words))
        if not told and not (limit and last >= _AT_LIMIT * limit):
            return None
    elif not told:
        return None
    if seen.end.signal is not None and not seen.stalled and seen.end.signal != "SIGABRT":
        return None
    complained = NO_FILES.words.search(seen.texts)
    if complained:
        supports.append(f"Its log says: {complained[0]} (log).")
    strength = CERTAIN if complained or grew else STRONG
    contradicts = misfits(seen, _TIMED_OUT, None)
    contradicts += [cite(f) for f in seen.near(evidence.NO_FILES) if f.data.get("scope") == "host"]
    if seen.exception is not None and not complained:
        contradicts.append(f"The exception was another: {seen.exception[:200]} (log).")
    return finding("app_files", strength, supports, contradicts)


def threads(seen: Readings) -> Finding | None:
    """app_threads: no more threads or processes may be made, and the worker made them."""
    told = seen.near(evidence.NO_PROCESSES)
    made = threads_made(seen)
    if not told or not made or (seen.end.signal in FATAL - {"SIGABRT"}):
        return None
    supports = [cite(fact) for fact in told] + made + agreeing(seen, _TIMED_OUT, None)
    return finding("app_threads", STRONG, supports, misfits(seen, _TIMED_OUT, None))
