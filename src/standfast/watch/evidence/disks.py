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

#: How often the disks are looked at, in seconds, and how many open files of a worker.
LOOK_S = 2.0
_FILES = 128
#: Less room than this is none, in bytes.
NO_ROOM_BYTES = 64 * 1024


class _Disk(NamedTuple):
    path: str
    was_writable: bool


class Disks:
    """Knows which file systems each worker uses: its folder's, and those of its open files."""

    def __init__(self) -> None:
        self._look_at = 0.0
        self._used: dict[Process, dict[int, _Disk]] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes the file systems in use."""
        now = time.monotonic()
        new = [worker for worker in living if worker.process not in self._used]
        if now < self._look_at and not new:
            return
        self._look_at = now + LOOK_S
        for worker in living:
            used = self._used.setdefault(worker.process, {})
            for path in _paths(worker.pid):
                _note(used, path)

    def facts(self, death: Death) -> list[Fact]:
        """Which of them have no room now, or may no longer be written to."""
        found = []
        # Two facts of one kind and source need two times.
        for at_ns, (device, disk) in enumerate(
            self._used.get(death.process, {}).items(), death.died_ns
        ):
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

    def forget(self, death: Death) -> None:
        """Its disks are of no interest any more."""
        self._used.pop(death.process, None)

    def close(self) -> None:
        """Nothing is held open: that would keep a disk from being unmounted."""


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
