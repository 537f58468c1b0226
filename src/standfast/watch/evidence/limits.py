"""Handles and processes used up: a worker's own, its cgroup's, or the whole host's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from standfast.store.evidence import NO_FILES, NO_PROCESSES, Fact, Source
from standfast.watch.liveness import Process

from . import cgroups
from .collector import Death, Living

#: From this share of a limit on it counts as used up.
NEARLY = 0.98


class Limits:
    """Counts while the workers live; of the dead nothing can be counted any more."""

    def __init__(self) -> None:
        self._reached: dict[Process, list[Fact]] = {}
        self._files: dict[Process, int] = {}
        self._groups: dict[Process, Path | None] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes which limits are reached."""
        host = [fact for fact in (_host_files(), _host_processes()) if fact]
        for worker in living:
            if worker.process not in self._files:
                self._files[worker.process] = _file_limit(worker.pid)
                self._groups[worker.process] = cgroups.group_of(worker.pid, "pids")
            own = [self._own_files(worker), _group_processes(self._groups[worker.process])]
            self._reached[worker.process] = [*host, *[fact for fact in own if fact]]

    def facts(self, death: Death) -> list[Fact]:
        """What had been used up at the last look."""
        return [fact._replace(at_ns=death.died_ns) for fact in self._reached.get(death.process, [])]

    def forget(self, death: Death) -> None:
        """Its limits are of no interest any more."""
        for known in (self._reached, self._files, self._groups):
            known.pop(death.process, None)

    def close(self) -> None:
        """Nothing is held open."""

    def _own_files(self, worker: Living) -> Fact | None:
        try:
            count = sum(1 for _ in Path(f"/proc/{worker.pid}/fd").iterdir())
        except OSError:
            return None
        limit = self._files[worker.process]
        words = f"process {worker.pid} had {count} of {limit} files open"
        return _fact(NO_FILES, Source.PROC_FD, words, "open", count, limit, "process")


def _fact(
    kind: str, source: Source, words: str, counted: str, count: int, limit: int, scope: str
) -> Fact | None:
    if limit <= 0 or count < NEARLY * limit:
        return None
    return Fact(kind, source, 0, words, {counted: count, "limit": limit, "scope": scope})


def _file_limit(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _host_files() -> Fact | None:
    numbers = _numbers("/proc/sys/fs/file-nr")
    if len(numbers) < 3:
        return None
    words = f"the host had {numbers[0]} of {numbers[2]} file handles in use"
    return _fact(NO_FILES, Source.FILE_NR, words, "open", numbers[0], numbers[2], "host")


def _host_processes() -> Fact | None:
    try:
        count = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return None
    limits = _numbers("/proc/sys/kernel/pid_max") + _numbers("/proc/sys/kernel/threads-max")
    limit = min(limits, default=0)
    words = f"the host had {count} of {limit} processes and threads"
    return _fact(NO_PROCESSES, Source.LOADAVG, words, "count", count, limit, "host")


def _group_processes(group: Path | None) -> Fact | None:
    if group is None:
        return None
    count, limit = cgroups.number_in(group / "pids.current"), cgroups.number_in(group / "pids.max")
    if count is None or limit is None:
        return None
    words = f"{group} had {count} of {limit} processes and threads"
    return _fact(NO_PROCESSES, Source.PIDS_CGROUP, words, "count", count, limit, "cgroup")


def _numbers(path: str) -> list[int]:
    try:
        return [int(word) for word in Path(path).read_text().split()]
    except (OSError, ValueError):
        return []
