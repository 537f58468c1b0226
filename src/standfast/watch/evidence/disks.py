"""File systems that workers use: without room, or suddenly not to be written to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from standfast.store.evidence import DISK_FULL, DISK_READ_ONLY, Fact, Source
from standfast.watch.liveness import Process

from .collector import Death, Living
from .later import Later

#: How often the disks are looked at, in seconds, and how many open files of a worker.
LOOK_S = 2.0
_FILES = 128
#: How long answers are waited for, in seconds; later ones are taken in at the next look. So many
#: workers have their turn at once.
_PATIENCE_S = 0.2
_AT_ONCE = 128
#: Less room than this is none, in bytes.
NO_ROOM_BYTES = 64 * 1024


class _Disk(NamedTuple):
    path: str
    was_writable: bool


class Disks:
    """Knows which file systems each worker uses: its folder's, and those of its open files.

    Each worker's are asked about in a call of its own, which is not waited for where a file system
    does not answer: the others', and the watcher, go on.
    """

    def __init__(self) -> None:
        self._look_at = 0.0
        self._used: dict[Process, dict[int, _Disk]] = {}
        self._looks: dict[Process, Later[dict[int, _Disk]]] = {}
        self._states: dict[Death, Later[list[Fact]]] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes the file systems in use."""
        now = time.monotonic()
        new = [worker for worker in living if worker.process not in self._looks]
        if now < self._look_at and not new:
            return
        for process, look in list(self._looks.items()):
            self._take(process, look)
        turn = living if now >= self._look_at else new
        for worker in sorted(turn, key=lambda one: one.process in self._used)[:_AT_ONCE]:
            before = self._looks.get(worker.process)
            if before is None or before.is_done:
                self._looks[worker.process] = _look_aside(worker.pid)
        self._look_at = now + LOOK_S
        for worker in turn:
            if asked := self._looks.get(worker.process):
                self._take(worker.process, asked, now + _PATIENCE_S - time.monotonic())

    def facts(self, death: Death) -> list[Fact]:
        """Which of them have no room now, or may no longer be written to."""
        if death not in self._states:
            used = self._used.get(death.process)
            if not used:
                return []
            self._states[death] = _ask_aside(dict(used), death.died_ns)
            return self._states[death].result(_PATIENCE_S) or []
        return self._states[death].result() or []

    def forget(self, death: Death) -> None:
        """Its disks are of no interest any more."""
        self._used.pop(death.process, None)
        self._looks.pop(death.process, None)
        for asked in [one for one in self._states if one.process == death.process]:
            del self._states[asked]

    def close(self) -> None:
        """Nothing is held open: that would keep a disk from being unmounted."""

    def _take(
        self, process: Process, look: Later[dict[int, _Disk]], patience_s: float = 0.0
    ) -> None:
        # What was known first counts: whether it could be written to then.
        known = self._used.get(process, {})
        if found := look.result(patience_s):
            self._used[process] = {**found, **known}


def _look_aside(pid: int) -> Later[dict[int, _Disk]]:
    def look() -> dict[int, _Disk]:
        used: dict[int, _Disk] = {}
        for path in _paths(pid):
            _note(used, path)
        return used

    return Later(look)


def _ask_aside(used: dict[int, _Disk], died_ns: int) -> Later[list[Fact]]:
    return Later(lambda: _states(used, died_ns))


def _states(used: dict[int, _Disk], died_ns: int) -> list[Fact]:
    found = []
    # Two facts of one kind and source need two times.
    for at_ns, (device, disk) in enumerate(used.items(), died_ns):
        try:
            if Path(disk.path).stat().st_dev != device:
                continue
            state = os.statvfs(disk.path)
        except OSError:
            continue
        free = state.f_bavail * state.f_frsize
        if disk.was_writable and state.f_flag & os.ST_RDONLY:
            words = f"the file system of {disk.path} may no longer be written to"
            data: dict[str, object] = {"path": disk.path}
            found.append(Fact(DISK_READ_ONLY, Source.STATVFS, at_ns, words, data))
        elif free < NO_ROOM_BYTES or (state.f_files and not state.f_favail):
            if not state.f_blocks:
                continue  # no file system on a disk or in memory
            words = f"the file system of {disk.path} has {free} bytes left"
            words += f" and {state.f_favail} files"
            data = {"path": disk.path, "free_bytes": free, "free_inodes": state.f_favail}
            found.append(Fact(DISK_FULL, Source.STATVFS, at_ns, words, data))
    return found


def _paths(pid: int) -> Iterator[Path]:
    yield Path(f"/proc/{pid}/cwd")
    with suppress(OSError):
        yield from islice(Path(f"/proc/{pid}/fd").iterdir(), _FILES)


def _note(used: dict[int, _Disk], link: Path) -> None:
    try:
        target = link.readlink()
        if not target.is_absolute() or target.parts[1] in ("dev", "proc", "sys"):
            return
        device = link.stat().st_dev
        if device not in used:
            # The folder, not the file: that may be gone by the time it is asked about.
            folder = target if link.is_dir() else target.parent
            used[device] = _Disk(str(folder), not os.statvfs(link).f_flag & os.ST_RDONLY)
    except (OSError, IndexError):
        return
