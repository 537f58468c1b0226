"""The logs of the servers, where the owner has named them."""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from standfast.journal import identity
from standfast.store.evidence import MASTER_SIGNAL, TEXT_LIMIT, Fact, Source
from standfast.watch.liveness import Process

from .collector import Death, Living
from .family import parent_of
from .later import Later
from .log_lines import Entry, LogReader
from .tail import Tail

#: Entries are kept of so many processes, and so many of each.
_PROCESSES = 1000
_ENTRIES = 20
#: An entry is about a death if it was written so long before the worker was last known to live,
#: or after it had died, at most: logs count in whole seconds, and a pid is used again.
_BEFORE_NS = 5_000_000_000
_AFTER_NS = 10_000_000_000
#: One that was told to end may take so long for it.
_TOLD_NS = 120_000_000_000

#: How long a log is waited for, in seconds; what it says later is taken in at the next look.
_PATIENCE_S = 0.2


class _Kept(NamedTuple):
    """What the log at ``path``, a file of the user ``owner``, says."""

    path: str
    owner: int
    at_ns: int
    entry: Entry


class Logs:
    """Follows logs and keeps what they say of single processes."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._logs = [(path, Tail(Path(path)), LogReader()) for path in paths]
        self._entries: OrderedDict[int, deque[_Kept]] = OrderedDict()
        self._count = 0
        self._known: dict[Process, int] = {}
        self._readings: dict[str, Later[tuple[list[bytes], bool]]] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Reads what has been added, and notes the parents of new workers."""
        for worker in living:
            if worker.process not in self._known:
                self._known[worker.process] = _inner_pid(parent_of(worker.pid))
        now_ns = time.time_ns()
        for path, tail, reader in self._logs:
            lines, old = self._read(path, tail)
            for line in lines:
                entry = reader.read(line)
                if entry is None:
                    continue
                at_ns = entry.at_ns
                if at_ns is None and not old:
                    at_ns = now_ns
                # Undated, and there before anybody watched: it may be about any process.
                if at_ns is not None:
                    self._keep(_Kept(path, tail.owner, at_ns, entry))

    def facts(self, death: Death) -> list[Fact]:
        """What the logs say of one death."""
        self.look(())
        found = []
        for path, owner, at_ns, entry in self._about(death):
            if _is_near(entry.kind, at_ns, death) and _may_tell(owner, death):
                text = "\n".join(entry.lines)[:TEXT_LIMIT]
                data = {**entry.data, "log": path}
                found.append(Fact(entry.kind, Source.SERVER_LOG, at_ns, text, data))
        return found

    def _about(self, death: Death) -> list[_Kept]:
        process = death.process
        if any(_has_same_number(process, other) for other in self._known):
            return []  # a log does not say in which container
        kept = [one for one in self._entries.get(process.pid, ()) if not one.entry.of_children]
        started_ns = _started_ns(process)
        parent = self._known.get(process, 0)
        return kept + [
            one
            for one in self._entries.get(parent, ())
            # Those that a reload has started are not told to end by it.
            if one.entry.of_children and started_ns is not None and started_ns < one.at_ns
        ]

    def forget(self, death: Death) -> None:
        """Drops what was kept of it."""
        parent = self._known.pop(death.process, 0)
        self._entries.pop(death.process.pid, None)
        if parent not in self._known.values():
            self._entries.pop(parent, None)
        for _, _, reader in self._logs:
            reader.serving.discard(death.process.pid)

    def close(self) -> None:
        """Closes all logs."""
        for _, tail, _ in self._logs:
            tail.close()

    def _read(self, path: str, tail: Tail) -> tuple[list[bytes], bool]:
        # A log may lie on a file system that does not answer: then nothing more is asked of it.
        reading = self._readings.pop(path, None) or Later(tail.lines)
        lines = reading.result(_PATIENCE_S)
        if not reading.is_done:
            self._readings[path] = reading
        return lines or ([], False)

    def _keep(self, one: _Kept) -> None:
        # Two entries of the same second are two facts.
        self._count += 1
        kept = self._entries.setdefault(one.entry.pid, deque(maxlen=_ENTRIES))
        kept.append(one._replace(at_ns=one.at_ns + self._count % 1_000_000))
        self._entries.move_to_end(one.entry.pid)
        if len(self._entries) > _PROCESSES:
            self._entries.popitem(last=False)


def _is_near(kind: str, at_ns: int, death: Death) -> bool:
    before_ns = _TOLD_NS if kind == MASTER_SIGNAL else _BEFORE_NS
    return death.alive_ns - before_ns <= at_ns <= death.died_ns + _AFTER_NS


def _has_same_number(one: Process, other: Process) -> bool:
    """Whether two processes of this boot go by the same number, each in its own container."""
    return one.pid == other.pid and one.pid_namespace != other.pid_namespace


def _started_ns(process: Process) -> int | None:
    """When a process of this boot started."""
    if process.boot_id != identity.boot_id():
        return None
    booted_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return booted_ns + process.start_ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _inner_pid(pid: int) -> int:
    """The number by which a process goes in its own container; 0 where there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    numbers = next((line.split() for line in lines if line.startswith("NSpid:")), [])
    return int(numbers[-1]) if len(numbers) > 1 else pid


def _may_tell(owner: int, death: Death) -> bool:
    """Whether a log of the user ``owner`` may speak of a process, and that process's user may read
    it: whose process it is, is sure only where it was seen alive or its user is root."""
    trusted = (0, os.geteuid())
    if owner in trusted:
        return death.is_proven or death.process.owner in trusted
    return death.process.owner in (None, 0, owner)
