"""The end of the process that started a worker, most often its master.

A master that somebody kills takes its workers along without a word.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass

from standfast.journal import identity
from standfast.store.evidence import PARENT_EXIT, Fact, Source
from standfast.watch import descriptors
from standfast.watch.facts import exit_fact
from standfast.watch.liveness import Process

from .collector import Death, Living
from .exits import exit_status
from .family import parent_of

#: So many parents are watched at most.
_MOST = 256
_SHARE = 1 / 16


@dataclass
class _Parent:
    """``ended_ns`` is when it was seen to have ended."""

    pid: int
    fd: int
    ended_ns: int | None = None
    status: int | None = None


class Parents:
    """Holds a pidfd of the parent of each worker."""

    def __init__(self) -> None:
        self._most = descriptors.share(_SHARE, _MOST)
        self._parents: dict[tuple[int, int], _Parent] = {}
        self._of: dict[Process, _Parent | None] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Finds the parents of new workers, and sees whether any has ended."""
        for worker in living:
            if worker.process not in self._of:
                self._of[worker.process] = self._parent_of(worker.pid)
        for parent in self._parents.values():
            _see(parent)

    def facts(self, death: Death) -> list[Fact]:
        """How the parent ended, if it has."""
        parent = self._of.get(death.process)
        if parent is None:
            return []
        _see(parent)
        if parent.ended_ns is None:
            return []
        before_s = round((death.died_ns - parent.ended_ns) / 1e9, 1)
        data: dict[str, object] = {"parent_pid": parent.pid, "before_s": before_s}
        words = f"the parent of the worker, process {parent.pid}, has ended"
        if parent.status is not None:
            code = os.waitstatus_to_exitcode(parent.status)
            ended = exit_fact(Source.PIDFD, parent.ended_ns, parent.pid, code)
            data |= ended.data
            words = f"the parent of the worker: {ended.text}"
        return [Fact(PARENT_EXIT, Source.PIDFD, parent.ended_ns, words, data)]

    def forget(self, death: Death) -> None:
        """Lets go of the parent when no other worker is its child."""
        parent = self._of.pop(death.process, None)
        if parent is not None and parent not in self._of.values():
            os.close(parent.fd)
            for key in [key for key, held in self._parents.items() if held is parent]:
                del self._parents[key]

    def close(self) -> None:
        """Lets go of all."""
        for parent in self._parents.values():
            os.close(parent.fd)
        self._parents.clear()
        self._of.clear()

    def _parent_of(self, pid: int) -> _Parent | None:
        """None for an orphan: whoever took it in knows nothing of it."""
        number = parent_of(pid)
        if number <= 1:
            return None
        key = number, identity.start_ticks(number)
        if key not in self._parents and len(self._parents) < self._most:
            try:
                fd = os.pidfd_open(number)
            except (OSError, AttributeError):
                return None
            # Its number was not given to another in between, if it is still the parent.
            if parent_of(pid) != number:
                os.close(fd)
                return None
            self._parents[key] = _Parent(number, fd)
        return self._parents.get(key)


def _see(parent: _Parent) -> None:
    if parent.ended_ns is None:
        ended = select.poll()
        ended.register(parent.fd, select.POLLIN)
        if not ended.poll(0):
            return
        parent.ended_ns = time.time_ns()
    if parent.status is None:
        parent.status = exit_status(parent.fd)
