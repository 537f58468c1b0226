"""Who started whom: the processes of the host, by the parent that they had when first seen.

A process whose parent ends is given another one, so it has to be asked while the parent lives.
"""

from __future__ import annotations

import os
from pathlib import Path

#: So many processes that have ended are remembered, and so many steps are gone up.
_GONE = 20_000
_STEPS = 64


class Family:
    """Remembers the parents of all processes of the host, also of those that have ended lately."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._parents: dict[int, int] = {}
        self._living: set[int] = set()

    def look(self) -> None:
        """Takes in the processes that are new. Only of those a file is read."""
        try:
            with os.scandir(self._proc) as entries:
                living = {int(entry.name) for entry in entries if entry.name.isdecimal()}
        except OSError:
            return
        for pid in living - self._living:
            # The number may have been another's: the new one goes to the end of those remembered.
            self._parents.pop(pid, None)
            parent = parent_of(pid, self._proc)
            if parent:
                self._parents[pid] = parent
        self._living = living
        for pid in list(self._parents)[: max(len(self._parents) - len(living) - _GONE, 0)]:
            if pid not in living:
                del self._parents[pid]

    def ancestors(self, pid: int) -> list[int]:
        """The process that had started this one, the one that had started that, and so on."""
        found: list[int] = []
        while len(found) < _STEPS and (pid := self._parents.get(pid, 0)) > 1:
            found.append(pid)
        return found


def parent_of(pid: int, proc: Path = Path("/proc")) -> int:
    """The pid of the parent; 0 where the process is gone."""
    try:
        # The command's name, in brackets, may itself hold brackets and spaces.
        stat = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return int(stat[1])
    except (OSError, IndexError, ValueError):
        return 0
