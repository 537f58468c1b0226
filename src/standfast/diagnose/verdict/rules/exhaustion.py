"""What the application used up: memory, open files, threads."""

from __future__ import annotations

from standfast.diagnose.verdict.ends import TIMED_OUT, agreeing, misfits
from standfast.diagnose.verdict.finding import Explains, Finding, finding
from standfast.diagnose.verdict.ladder import CERTAIN, LIKELY, STRONG, WEAK
from standfast.diagnose.verdict.readings import FATAL, Readings, cite, number
from standfast.diagnose.words import size
from standfast.store import evidence

from .conditions import NO_FILES, threads_made
from .memory_use import Whose, counted_kills, neighbours_killed, short_of_memory
from .memory_use import memory as memory_of

_KILLED = frozenset({"SIGKILL"})


def memory(seen: Readings) -> Finding | None:
    """app_memory: an out-of-memory kill, and the memory was the worker's own."""
    killed, counted = seen.case.all(evidence.OOM_KILL), counted_kills(seen)
    own = memory_of(seen)
    supports = [cite(fact) for fact in killed + counted]
    descendants = seen.case.all(evidence.DESCENDANT_OOM_KILL)
    if killed or (counted and not descendants and seen.end.signal in (None, "SIGKILL")):
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
        contradicts += [cite(f) for f in seen.case.all(evidence.TIMEOUT, evidence.MASTER_SIGNAL)]
    for neighbour in neighbours_killed(seen):
        other = number(neighbour.data, "rss_bytes")
        if other is not None and (own.last is None or other > own.last):
            words = f"Another process was larger, with {size(other)}"
            contradicts.append(cite(neighbour, words))
    supports += own.sentences + agreeing(seen, _KILLED, ())
    return finding("app_memory", strength, supports, contradicts)


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
    contradicts = misfits(seen, TIMED_OUT, None)
    contradicts += [cite(f) for f in seen.near(evidence.NO_FILES) if f.data.get("scope") == "host"]
    if seen.exception is not None and not complained:
        contradicts.append(f"The exception was another: {seen.exception[:200]} (log).")
    explains = Explains.STALL if seen.stalled else Explains.END
    return finding("app_files", strength, supports, contradicts, explains)


def threads(seen: Readings) -> Finding | None:
    """app_threads: no more threads or processes may be made, and the worker made them."""
    told = seen.near(evidence.NO_PROCESSES)
    made = threads_made(seen)
    if not told or not made or (seen.end.signal in FATAL - {"SIGABRT"}):
        return None
    supports = [cite(fact) for fact in told] + made + agreeing(seen, TIMED_OUT, None)
    explains = Explains.STALL if seen.stalled else Explains.END
    return finding("app_threads", STRONG, supports, misfits(seen, TIMED_OUT, None), explains)
