"""What the machines did to the application."""

from __future__ import annotations

from standfast.diagnose.verdict.ends import agreeing, misfits
from standfast.diagnose.verdict.finding import Explains, Finding, finding
from standfast.diagnose.verdict.ladder import CERTAIN, LIKELY, STRONG, WEAK
from standfast.diagnose.verdict.readings import (
    FATAL,
    STOPPING,
    Readings,
    cite,
    number,
    text,
)
from standfast.store import evidence

from .conditions import (
    DATABASE,
    DISK_FULL,
    NO_FILES,
    NO_PROCESSES,
    READ_ONLY,
    Condition,
    threads_made,
)
from .memory_use import Whose, counted_kills, neighbours_killed, short_of_memory
from .memory_use import memory as memory_of
from .stalls import overload as overload_of
from .stalls import stall

_KILLED = frozenset({"SIGKILL"})


def host_restart(seen: Readings) -> Finding | None:
    """platform_host_restart: the machine has been restarted, and nobody saw another end."""
    said = seen.case.all(evidence.HOST_RESTART)
    if not said:
        return None
    going_down = _KILLED | STOPPING
    contradicts = misfits(seen, going_down, {0, 143})
    other = (evidence.TRACEBACK, evidence.OOM_KILL, evidence.START_FAILURE)
    contradicts += [f"{cite(f)} That was before the restart." for f in seen.case.all(*other)]
    supports = [cite(fact) for fact in said] + agreeing(seen, going_down, {0, 143})
    return finding("platform_host_restart", CERTAIN, supports, contradicts)


def memory(seen: Readings) -> Finding | None:
    """platform_memory: killed for want of memory, and the memory was not its own."""
    if seen.end.signal not in (None, "SIGKILL"):
        return None
    killed, counted = seen.case.all(evidence.OOM_KILL), counted_kills(seen)
    neighbours = neighbours_killed(seen)
    short = short_of_memory(seen)
    # Where a limit of its group was met, the kernel has said whom it killed for that.
    machines = [fact for fact in neighbours if fact.data.get("scope") != "cgroup"]
    own = memory_of(seen)
    if own.whose is Whose.OWN:
        return None
    descendants = seen.case.all(evidence.DESCENDANT_OOM_KILL)
    if descendants and not killed and not neighbours and not short:
        return None  # what the counters counted was a process of its own
    supports = [cite(fact) for fact in killed + counted + neighbours] + short
    if killed and own.whose is Whose.OTHERS:
        whole_machine = any(fact.data.get("scope") == "host" for fact in killed)
        strength = STRONG if whole_machine or neighbours or short else LIKELY
    elif killed or counted:
        strength = STRONG if own.last is not None and neighbours else WEAK
    elif seen.end.signal == "SIGKILL" and (short or machines):
        # A killer in user space, or a kernel log that may not be read.
        strength = LIKELY if own.whose is Whose.OTHERS or (short and neighbours) else WEAK
    else:
        return None
    contradicts = misfits(seen, _KILLED, ())
    contradicts += [cite(f) for f in seen.case.all(evidence.TIMEOUT, evidence.MASTER_SIGNAL)]
    supports += own.sentences + agreeing(seen, _KILLED, ())
    return finding("platform_memory", strength, supports, contradicts)


def database_down(seen: Readings) -> Finding | None:
    """platform_database_down: out of reach while the application needed it."""
    doing = stall(seen)
    found = _condition(seen, DATABASE)
    if found is None:
        return None
    if seen.stalled:
        # A program that waits, and what it waits for is away.
        found.supports += doing.sentences
        if doing.nature == "busy":
            found.contradicts.append("The worker was computing, not waiting for a database.")
        elif doing.nature in ("lock", "client"):
            found.contradicts.append("Its stack shows that it waited for something else.")
        else:
            found.strength = min(found.strength, STRONG)
    return found


def disk_full(seen: Readings) -> Finding | None:
    """platform_disk_full: no room where the worker writes."""
    found = _condition(seen, DISK_FULL)
    if found is not None and "SIGBUS" in _signals(seen):
        found.strength = STRONG
        found.supports.append("A file in memory that finds no room on its disk ends in SIGBUS.")
    return found


def disk_read_only(seen: Readings) -> Finding | None:
    """platform_disk_read_only: the worker may not write where it did."""
    return _condition(seen, READ_ONLY)


def no_files(seen: Readings) -> Finding | None:
    """platform_no_files: no handle left on the whole machine."""
    found = _condition(seen, NO_FILES)
    rise = seen.rise("descriptors")
    if found is not None and rise is not None and seen.curve is not None:
        opened = [number(fact.data, "open") for fact in NO_FILES.facts(seen)]
        if any(total and rise[1] >= total / 2 for total in opened):
            words = f"The worker itself had {rise[1]:.0f} files open"
            found.contradicts.append(cite(seen.curve, words))
    return found


def no_processes(seen: Readings) -> Finding | None:
    """platform_no_processes: no process or thread could be made."""
    found = _condition(seen, NO_PROCESSES)
    if found is not None:
        found.contradicts += threads_made(seen)
    return found


def overload(seen: Readings) -> Finding | None:
    """platform_overload: timed out without having got the processors."""
    crowded = overload_of(seen)
    if not crowded.sentences or not seen.stalled:
        return None
    contradicts = misfits(seen, _KILLED | STOPPING | {"SIGABRT"}, {0, 1, 143})
    nature = stall(seen).nature
    if nature == "busy" and seen.curve is not None:
        words = f"The worker itself used {seen.busy or 0.0:.2f} processors"
        if seen.burned_s is not None:
            words += f", and {seen.burned_s:.1f} s of their time since its requests began"
        against = [cite(seen.curve, words)]
        return finding("platform_overload", WEAK, crowded.sentences, against, Explains.STALL)
    if nature == "lock":
        contradicts.append("Its stack shows that it waited for a lock, not for a processor.")
    if nature in ("client", "outside", "either", "idle"):
        contradicts.append("Its stack shows that it waited, and not for a processor.")
    late = seen.case.all(evidence.TIMEOUT) + seen.hangs
    supports = crowded.sentences + [cite(fact) for fact in late]
    if seen.busy is None:
        return finding("platform_overload", WEAK, supports, contradicts, Explains.STALL)
    strength = STRONG if crowded.stolen else LIKELY
    return finding("platform_overload", strength, supports, contradicts, Explains.STALL)


def _signals(seen: Readings) -> set[str | None]:
    tracebacks = seen.case.all(evidence.TRACEBACK)
    return {seen.end.signal} | {text(fact.data, "signal") for fact in tracebacks}


def _condition(seen: Readings, condition: Condition) -> Finding | None:
    """How well a state of the platform explains this end: best where the program says so."""
    facts = condition.facts(seen)
    if not facts or (_signals(seen) & FATAL) - {"SIGABRT", "SIGBUS"}:
        return None
    complained = condition.words.search(seen.texts)
    gave_up = bool(seen.case.first(evidence.START_FAILURE)) or bool(seen.end.exit_code)
    if complained:
        strength = STRONG
    elif gave_up:
        strength = LIKELY
    elif (
        seen.stalled or not seen.known or "SIGABRT" in _signals(seen) or "SIGBUS" in _signals(seen)
    ):
        strength = WEAK
    else:
        return None
    supports = [cite(fact) for fact in facts]
    contradicts = []
    if complained:
        supports.append(f"The program complained: {complained[0]} (log).")
    elif seen.exception is not None:
        contradicts.append(
            f"The program complained of something else: {seen.exception[:200]} (log)."
        )
    supports += agreeing(seen, (), None)
    explains = Explains.STALL if seen.stalled else Explains.END
    if not seen.stalled:
        orders = seen.case.all(evidence.MASTER_SIGNAL, evidence.SERVICE, evidence.OOM_KILL)
        contradicts += [cite(fact) for fact in orders]
    return finding(condition.cause, strength, supports, contradicts, explains)
