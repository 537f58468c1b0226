"""Out-of-memory kills as a worker's own memory cgroup counts them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from standfast.store.evidence import OOM_COUNTER, Fact, Source
from standfast.watch.liveness import Process

from . import cgroups
from .collector import Death, Living


class _Group(NamedTuple):
    path: Path
    kills: int
    limit_bytes: int | None


class OomCounters:
    """Reads the counter of each worker's group while it lives, and again when it has died."""

    def __init__(self) -> None:
        self._groups: dict[Process, _Group] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes the counters as they are while the workers live."""
        for worker in living:
            known = self._groups.get(worker.process)
            path = known.path if known else cgroups.group_of(worker.pid, "memory")
            kills = None if path is None else cgroups.memory_kills(path)
            if path is not None and kills is not None:
                limit = known.limit_bytes if known else cgroups.memory_limit(path)
                self._groups[worker.process] = _Group(path, kills, limit)

    def facts(self, death: Death) -> list[Fact]:
        """That the counter has risen since, where it has."""
        group = self._groups.get(death.process)
        kills = None if group is None else cgroups.memory_kills(group.path)
        if group is None or kills is None or kills <= group.kills:
            return []
        words = f"{group.path}: out-of-memory kills went from {group.kills} to {kills}"
        if group.limit_bytes:
            words += f", the limit is {group.limit_bytes // 2**20} MiB"
        data = {
            "before": group.kills,
            "after": kills,
            "limit_bytes": group.limit_bytes,
            "cgroup": str(group.path),
        }
        return [Fact(OOM_COUNTER, Source.MEMORY_CGROUP, death.died_ns, words, data)]

    def forget(self, death: Death) -> None:
        """Its counter is of no interest any more."""
        self._groups.pop(death.process, None)

    def close(self) -> None:
        """Nothing is held open."""
