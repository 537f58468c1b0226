"""Whether the process that wrote a journal still lives.

A pid alone says nothing: numbers are used again. A process is named by the boot of its host, its
pid and its start, in clock ticks since that boot (proc(5), field 22 of stat).
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from standfast.journal import identity
from standfast.journal.format import Header

ALIVE = "alive"
DEAD = "dead"
#: The process lives in a namespace that cannot be looked into from here.
HIDDEN = "hidden"

#: The first pid namespace, in which every process of the host can be seen (linux/proc_ns.h).
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


class Process(NamedTuple):
    """A process, by the names that its own pid namespace knows it under."""

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_ticks: int

    @classmethod
    def of(cls, header: Header) -> Process:
        """The process that wrote a segment."""
        return cls(
            header.host, header.boot_id, header.pid_namespace, header.pid, header.start_ticks
        )


class Liveness:
    """Asks for the life of many processes; opens a pidfd of each, so as to see it end at once."""

    def __init__(self, *, limit: int = 512) -> None:
        """Watches at most ``limit`` processes by descriptor, and any number by asking again."""
        self._boot_id = identity.boot_id()
        self._pid_namespace = identity.pid_namespace()
        self._sees_all = (
            self._pid_namespace == _FIRST_PID_NAMESPACE and Path("/proc/1/stat").exists()
        )
        self._limit = limit
        self._alive: set[Process] = set()
        self._died_ns: dict[Process, int] = {}
        self._fds: dict[Process, int] = {}
        self._watched: dict[int, Process] = {}
        self._pids: dict[Process, int] = {}
        self._poll = select.poll()

    def states(self, processes: Iterable[Process]) -> dict[Process, str]:
        """ALIVE, DEAD or HIDDEN for each process."""
        self.wait(0)
        states = {}
        foreign = []
        for process in processes:
            if process in self._died_ns:
                states[process] = DEAD
            elif process in self._fds:
                states[process] = ALIVE
            elif process.boot_id and process.boot_id != self._boot_id:
                states[process] = DEAD
            elif process.pid_namespace in (self._pid_namespace, 0):
                states[process] = self._look(process, process.pid)
            else:
                foreign.append(process)
        if foreign:
            found = _processes_of_other_namespaces()
            for process in foreign:
                pids = found.get((process.pid, process.start_ticks), [])
                pid = next((p for p in pids if _namespace_fits(p, process.pid_namespace)), None)
                if pid is not None:
                    states[process] = self._look(process, pid)
                elif self._sees_all or process in self._alive:
                    states[process] = self._dead(process)
                else:
                    states[process] = HIDDEN
        return states

    def wait(self, timeout_s: float) -> None:
        """Sleeps until a watched process ends or the time is over."""
        for fd, _ in self._poll.poll(timeout_s * 1000):
            self._dead(self._watched[fd])

    def died_ns(self, process: Process) -> int | None:
        """When a process that had been seen alive was seen dead, in nanoseconds of the epoch."""
        return self._died_ns.get(process)

    def pid(self, process: Process) -> int | None:
        """By which number a process goes here, or went when it was last seen alive."""
        return self._pids.get(process)

    def forget(self, process: Process) -> None:
        """Watches a process no more."""
        self._let_go(process)
        self._pids.pop(process, None)
        self._alive.discard(process)
        self._died_ns.pop(process, None)

    def close(self) -> None:
        """Lets go of all processes."""
        for process in list(self._fds):
            self._let_go(process)

    def _look(self, process: Process, pid: int) -> str:
        fd = _pidfd(pid) if len(self._fds) < self._limit else None
        # Asked for after the descriptor was opened: if the start is right, so is the descriptor.
        if not _is_running(pid, process.start_ticks):
            if fd is not None:
                os.close(fd)
            return self._dead(process)
        self._alive.add(process)
        self._pids[process] = pid
        if fd is not None:
            self._fds[process] = fd
            self._watched[fd] = process
            self._poll.register(fd, select.POLLIN)
        return ALIVE

    def _dead(self, process: Process) -> str:
        self._let_go(process)
        if process in self._alive:
            self._alive.discard(process)
            self._died_ns[process] = time.time_ns()
        return DEAD

    def _let_go(self, process: Process) -> None:
        fd = self._fds.pop(process, None)
        if fd is not None:
            del self._watched[fd]
            self._poll.unregister(fd)
            os.close(fd)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (OSError, OverflowError, AttributeError):
        return None


def _is_running(pid: int, start_ticks: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if int(stat[19]) != start_ticks:
            return False
        # A zombie has no memory left to write from, unless only its first thread has ended.
        return stat[0] not in (b"Z", b"X") or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (OSError, IndexError, ValueError):
        return False


def _processes_of_other_namespaces() -> dict[tuple[int, int], list[int]]:
    """From (pid within its innermost namespace, start) to the pids by which they go here."""
    found: dict[tuple[int, int], list[int]] = {}
    for pid in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]:
        inner = _innermost_pid(pid)
        if inner is not None:
            found.setdefault((inner, identity.start_ticks(pid)), []).append(pid)
    return found


def _innermost_pid(pid: int) -> int | None:
    """The last pid of line NSpid in /proc/PID/status, where there is more than one."""
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"NSpid:"):
                pids = line.split()[1:]
                return int(pids[-1]) if len(pids) > 1 else None
    except (OSError, ValueError):
        pass
    return None


def _namespace_fits(pid: int, pid_namespace: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino == pid_namespace
    except OSError:
        # Another user's process does not show its namespace; its pid and start have to do.
        return True
