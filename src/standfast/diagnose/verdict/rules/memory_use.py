"""Whose memory it was that ran out."""

from __future__ import annotations

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
        # Nothing to measure against, where a group ran out whose limit nobody knows.
        is_groups = _is_of_a_group(killed) or bool(counted_kills(seen))
        whose = Whose.OTHERS if rise is not None and not is_groups else Whose.UNCLEAR
    elif share <= (TINY if found.grew else SMALL):
        together = share * (seen.case.beside + 1)
        whose = Whose.OTHERS if together < LARGE else Whose.UNCLEAR
        if whose is Whose.UNCLEAR:
            number_of = seen.case.beside + 1
            sentences.append(
                f"{number_of} workers of this application lived on the host (store): each as large,"
                " they had half of the memory or more."
            )
    return found._replace(whose=whose, sentences=sentences)


def _budget(seen: Readings, killed: Fact | None) -> float | None:
    """What there was: the limit of the group where it was a group that ran out, else the machine's
    memory. A group is never measured against the machine."""
    told = [*seen.case.all(evidence.OOM_KILL), *seen.case.all(evidence.OOM_COUNTER)]
    limits = [limit for fact in told if (limit := number(fact.data, "limit_bytes"))]
    totals = [
        n for f in seen.case.all(evidence.HOST_MEMORY) if (n := number(f.data, "total_bytes"))
    ]
    if killed is not None and killed.data.get("scope") == "host":
        return totals[-1] if totals else None
    if limits:
        return min(limits)
    if _is_of_a_group(killed) or counted_kills(seen):
        return None
    return min(totals, default=None)


def _is_of_a_group(killed: Fact | None) -> bool:
    return killed is not None and killed.data.get("scope") == "cgroup"


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


def neighbours_killed(seen: Readings) -> list[Fact]:
    """Kills of other processes that have to do with this worker's memory: those of the whole
    machine, and those of a group that this worker is known to share."""
    killed = seen.case.all(evidence.OOM_KILL, evidence.OOM_COUNTER)
    groups = {str(fact.data.get("cgroup")) for fact in killed}
    return [
        fact
        for fact in seen.near(evidence.NEIGHBOUR_OOM_KILL)
        if fact.data.get("scope") != "cgroup"
        or any(group.endswith(str(fact.data.get("cgroup"))) for group in groups)
    ]


def counted_kills(seen: Readings) -> list[Fact]:
    """Counters that say that the group of this process had an out-of-memory kill, which may have
    been its own: more of them than the kernel's log lays to others of the group."""
    others = seen.near(evidence.NEIGHBOUR_OOM_KILL)
    return [
        fact
        for fact in seen.case.all(evidence.OOM_COUNTER)
        if (number(fact.data, "after") or 0) - (number(fact.data, "before") or 0)
        > sum(_is_of(other, fact) for other in others)
    ]


def _is_of(killed: Fact, counter: Fact) -> bool:
    """Whether a kill was one in the group of a counter, as the kernel names it."""
    group = killed.data.get("cgroup")
    return (
        killed.data.get("scope") == "cgroup"
        and isinstance(group, str)
        and group.strip("/") != ""
        and str(counter.data.get("cgroup")).endswith(group)
    )
