"""Readings that rules of several parties need: whose memory, which condition, what kind of wait."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from standfast.diagnose.verdict.readings import Readings, cite, number
from standfast.diagnose.words import percent, size
from standfast.store import evidence
from standfast.store.evidence import Fact

_MIB = 2**20
#: Memory has grown when it is this much more, both as a factor and in bytes.
GREW_FACTOR, GREW_BYTES = 1.5, 64 * _MIB
#: The part of the limit, or of the machine, from which on memory is the worker's own doing, and
#: that up to which it is not: small where it was steady, tiny where it grew.
LARGE, SMALL, TINY = 0.5, 0.25, 0.1
#: The machine has run out of memory when less than this part of it is available, or when this
#: percentage of time was lost by waiting for memory.
SHORT_SHARE, SHORT_PRESSURE = 0.05, 20.0


class Whose(Enum):
    """Whose memory it was."""

    OWN = "own"
    OTHERS = "others"
    UNCLEAR = "unclear"


class Memory(NamedTuple):
    """The worker's memory up to its end, in bytes, and the limit it stood under."""

    whose: Whose
    first: float | None
    last: float | None
    budget: float | None
    sentences: list[str]

    @property
    def grew(self) -> bool:
        """Whether it rose, and was high at the end."""
        if self.first is None or self.last is None:
            return False
        return self.last >= GREW_FACTOR * self.first and self.last - self.first >= GREW_BYTES


def memory(seen: Readings) -> Memory:
    """Whose memory it was, from the curve, the size at the kill, and the limit."""
    rise = seen.rise("rss", seen.span_s)
    first, last = rise if rise is not None else (None, None)
    killed = seen.case.first(evidence.OOM_KILL)
    at_kill = number(killed.data, "rss_bytes") if killed else None
    if at_kill is not None:
        last = max(last or 0.0, at_kill)
    budget = _budget(seen, killed)
    share = last / budget if last is not None and budget else None
    found = Memory(Whose.UNCLEAR, first, last, budget, [])
    sentences = []
    if last is not None:
        grown = f"grew from {size(first)} to {size(last)}" if found.grew and first else ""
        words = f"The worker's memory {grown or f'was {size(last)}'} at the end"
        if share is not None and budget:
            words += f", {percent(share)} of the {size(budget)} there were"
        source = killed if at_kill is not None and at_kill == last else seen.curve
        if source is not None:
            sentences.append(cite(source, words))
    whose = Whose.UNCLEAR
    if (found.grew and (share is None or share > SMALL)) or (share is not None and share >= LARGE):
        whose = Whose.OWN
    elif share is None:
        whose = Whose.OTHERS if rise is not None else Whose.UNCLEAR
    elif share <= (TINY if found.grew else SMALL):
        whose = Whose.OTHERS
    return found._replace(whose=whose, sentences=sentences)


def _budget(seen: Readings, killed: Fact | None) -> float | None:
    """The limit of the group if it was the group that ran out, else the machine's memory."""
    counters = seen.case.all(evidence.OOM_COUNTER)
    limits = [n for fact in counters if (n := number(fact.data, "limit_bytes"))]
    totals = [
        n for f in seen.case.all(evidence.HOST_MEMORY) if (n := number(f.data, "total_bytes"))
    ]
    scope = killed.data.get("scope") if killed is not None else None
    if killed is not None and (limit := number(killed.data, "limit_bytes")):
        limits.append(limit)
    if scope == "host":
        return totals[-1] if totals else None
    # What the machine has says nothing of a group that had used up its own.
    known = limits if scope == "cgroup" else limits + totals
    return min(known) if known else None


def short_of_memory(seen: Readings) -> list[str]:
    """What says that the whole machine was short of memory."""
    found = []
    for fact in seen.near(evidence.HOST_MEMORY):
        available = number(fact.data, "available_bytes")
        total = number(fact.data, "total_bytes")
        pressure = number(fact.data, "pressure_full_avg10")
        if available is not None and total and available < SHORT_SHARE * total:
            words = f"The machine had {size(available)} of {size(total)} available"
            found.append(cite(fact, words))
        elif pressure is not None and pressure >= SHORT_PRESSURE:
            words = f"All processes waited {pressure:.0f} % of the time for memory"
            found.append(cite(fact, words))
    return found


def counted_kills(seen: Readings) -> list[Fact]:
    """Counters that say that the group of this process had an out-of-memory kill."""
    return [
        fact
        for fact in seen.case.all(evidence.OOM_COUNTER)
        if (number(fact.data, "after") or 0) > (number(fact.data, "before") or 0)
    ]


class Condition(NamedTuple):
    """A state of the platform that makes programs fail, and the words by which they complain."""

    cause: str
    kind: str
    words: re.Pattern[str]
    scopes: tuple[str, ...] = ()

    def facts(self, seen: Readings) -> list[Fact]:
        """The facts of this condition close to the end."""
        return [
            fact
            for fact in seen.near(self.kind)
            if not self.scopes or fact.data.get("scope") in self.scopes
        ]


DATABASE = Condition(
    "platform_database_down",
    evidence.DATABASE_DOWN,
    re.compile(
        r"OperationalError|InterfaceError|psycopg|pymysql|MySQLdb|mariadb|asyncpg|"
        r"Connection ?refused|Can't connect|could not connect|server has gone away|"
        r"No route to host|Lost connection",
        re.I,
    ),
)
DISK_FULL = Condition(
    "platform_disk_full",
    evidence.DISK_FULL,
    re.compile(r"No space left on device|ENOSPC|Errno 28\b|Disk quota exceeded|disk is full", re.I),
)
READ_ONLY = Condition(
    "platform_disk_read_only",
    evidence.DISK_READ_ONLY,
    re.compile(r"Read-only file system|EROFS|Errno 30\b|readonly database", re.I),
)
NO_FILES = Condition(
    "platform_no_files",
    evidence.NO_FILES,
    re.compile(r"Too many open files|ENFILE|Errno 2[34]\b", re.I),
    ("host",),
)
NO_PROCESSES = Condition(
    "platform_no_processes",
    evidence.NO_PROCESSES,
    re.compile(r"can't start new thread|Cannot (?:fork|allocate)|EAGAIN|Errno 11\b", re.I),
)
CONDITIONS = (DATABASE, DISK_FULL, READ_ONLY, NO_FILES, NO_PROCESSES)


def explained_by_platform(seen: Readings) -> list[str]:
    """What was wrong with the platform and may explain why a program gave up. An exception that
    names something else clears it."""
    found = []
    for condition in CONDITIONS:
        if seen.exception is None or condition.words.search(seen.texts):
            found += [cite(fact) for fact in condition.facts(seen)]
    return found


#: Busy is a thread that computes, idle one that waits; in processors.
BUSY, IDLE = 0.5, 0.2
_LOCK = re.compile(
    r"\bacquire\b|_wait_for_tstate_lock|\bthreading\.py\b|futex|pthread_(?:mutex|cond)|sem_wait|"
    r"lock_wait"
)
_OUTSIDE = re.compile(
    r"socket\.py|ssl\.py|\brecv|\bconnect\b|\bpoll\b|\bselect|http/client|urllib|requests/|"
    r"httpx|psycopg|pymysql|MySQLdb|mysql|asyncpg|redis"
)


class Stall(NamedTuple):
    """What a worker did while a request did not end: ``busy``, ``lock``, ``outside``, or ''."""

    nature: str
    sentences: list[str]


def stall(seen: Readings) -> Stall:
    """What the worker was doing, from its use of the processor and its stack."""
    sentences = []
    nature = ""
    if seen.busy is not None and seen.curve is not None:
        if seen.busy >= BUSY:
            nature, doing = "busy", "it was computing: an endless loop, or slow code"
        elif seen.busy <= IDLE:
            doing = "it was waiting, not computing"
        else:
            doing = "it was partly computing, partly waiting"
        words = f"The worker used {seen.busy:.2f} processors at the end: {doing}"
        sentences.append(cite(seen.curve, words))
    if seen.stack is not None:
        fact, top = seen.stack
        sentences.append(cite(fact, f"Its stack was in: {' < '.join(top.splitlines()[:3])}"))
        if not nature and _LOCK.search(top):
            nature = "lock"
            sentences.append("It was waiting for a lock: threads that wait for each other.")
        elif not nature and _OUTSIDE.search(top):
            nature = "outside"
            sentences.append("It was waiting for an answer from another service.")
    return Stall(nature, sentences)


#: The machine is overloaded when this share of time was stolen, or this many processes per
#: processor wanted to run.
STEAL, CROWD = 0.25, 4.0


class Overload(NamedTuple):
    """What says that the processors were taken by others; ``stolen`` by other machines."""

    stolen: bool
    sentences: list[str]


def overload(seen: Readings) -> Overload:
    """Whether the worker was kept from computing. One that used less than half of its fair share
    in a crowd did not want to compute: it waited for something else."""
    stolen = False
    found = []
    for fact in seen.near(evidence.LOAD):
        steal, load = number(fact.data, "steal_share"), number(fact.data, "load_1m")
        processors = number(fact.data, "processors") or 1.0
        if steal is not None and steal >= STEAL:
            stolen = True
            words = (
                f"{percent(steal)} of the processors' time went to other machines on the same host"
            )
            found.append(cite(fact, words))
        elif load is not None and load >= CROWD * processors:
            if seen.busy is not None and seen.busy < processors / load / 2:
                continue
            words = f"{load:.0f} processes wanted to run on {processors:.0f} processors"
            found.append(cite(fact, words))
    return Overload(stolen, found)


_MANY_THREADS = 100


def threads_made(seen: Readings) -> list[str]:
    """What says that the worker itself made very many threads: half of all that it may, or more."""
    rise = seen.rise("threads")
    limits = [number(fact.data, "limit") for fact in seen.near(evidence.NO_PROCESSES)]
    many = min([_MANY_THREADS, *[limit / 2 for limit in limits if limit]])
    if rise is None or seen.curve is None or rise[1] - rise[0] < many:
        return []
    words = f"The worker's threads went from {rise[0]:.0f} to {rise[1]:.0f}"
    return [cite(seen.curve, words)]


def told_to_end_before(seen: Readings) -> bool:
    """Whether the master had told the worker to end before it timed it out: what no longer
    serves gives no sign of life either."""
    timed_out = [fact.at_ns for fact in seen.case.all(evidence.TIMEOUT)]
    told = [fact.at_ns for fact in seen.case.all(evidence.MASTER_SIGNAL)]
    return bool(timed_out and told) and min(told) < min(timed_out)
