"""Out-of-memory kills as a worker's own memory cgroup counts them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from standfast.store.evidence import OOM_COUNTER, Fact, Source
from standfast.watch.liveness import Process

from . import cgroups
from .collector import Death, Living

#: A kill may come so long before the end of the process, in nanoseconds: the kernel counts it when
#: it sends the signal, and a large process takes its time to give its memory back.
_NEAR_NS = 20_000_000_000
#: So many changes of a counter are remembered.
_CHANGES = 100


class _Count(NamedTuple):
    at_ns: int
    kills: int


@dataclass
class _Group:
    """One group: its limit when it was first looked at, and how its counter rose."""

    limit_bytes: int | None
    counts: deque[_Count] = field(default_factory=lambda: deque(maxlen=_CHANGES))

    def see(self, kills: int | None, at_ns: int) -> None:
        """Notes the counter, where it has changed."""
        if kills is not None and (not self.counts or kills != self.counts[-1].kills):
            self.counts.append(_Count(at_ns, kills))

    def kills_at(self, at_ns: int) -> int:
        """The counter at a moment; the first one that is known for all before it."""
        known = [count.kills for count in self.counts if count.at_ns <= at_ns]
        return known[-1] if known else self.counts[0].kills


class OomCounters:
    """Reads the counters of the workers' groups while they live, and again when one has died."""

    def __init__(self) -> None:
        self._groups: dict[Path, _Group] = {}
        self._of: dict[Process, tuple[Path | None, int]] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes the counters as they are while the workers live."""
        now_ns = time.time_ns()
        for worker in living:
            if worker.process not in self._of:
                path = cgroups.group_of(worker.pid, "memory")
                self._of[worker.process] = path, now_ns
                if path is not None and path not in self._groups:
                    self._groups[path] = _Group(cgroups.memory_limit(path))
        for path, group in self._groups.items():
            group.see(cgroups.memory_kills(path), now_ns)

    def facts(self, death: Death) -> list[Fact]:
        """That the counter has risen around the death, where it has."""
        path, since_ns = self._of.get(death.process, (None, 0))
        group = self._groups.get(path) if path is not None else None
        if path is None or group is None:
            return []
        group.see(cgroups.memory_kills(path), time.time_ns())
        if not group.counts:
            return []
        before = group.kills_at(max(since_ns, death.died_ns - _NEAR_NS))
        after = group.kills_at(death.died_ns + _NEAR_NS)
        if after <= before:
            return []
        words = f"{path}: out-of-memory kills went from {before} to {after}"
        if group.limit_bytes:
            words += f", the limit is {group.limit_bytes // 2**20} MiB"
        data = {
            "before": before,
            "after": after,
            "limit_bytes": group.limit_bytes,
            "cgroup": str(path),
        }
        return [Fact(OOM_COUNTER, Source.MEMORY_CGROUP, death.died_ns, words, data)]

    def forget(self, death: Death) -> None:
        """A group in which no worker is left is of no interest any more."""
        path, _ = self._of.pop(death.process, (None, 0))
        if path is not None and all(path != other for other, _ in self._of.values()):
            self._groups.pop(path, None)

    def close(self) -> None:
        """Nothing is held open."""
