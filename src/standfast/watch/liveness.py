"""Whether the process that wrote a journal still lives, and whether it may be looked at.

A pid alone says nothing: numbers are used again. A process is named by the boot of its host, its
pid and its start, in clock ticks since that boot (proc(5), field 22 of stat).

Nor does a journal: whoever writes one can name any process in it. The watcher often runs as root
and sees more than they do, so it looks only at processes of the user to whom the file belongs.
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
#: The process lives, and belongs to another user than the journal that names it.
FOREIGN = "foreign"

#: The first pid namespace, in which every process of the host can be seen (linux/proc_ns.h).
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
#: A wall clock may have been set by so much between a start and a first segment, in seconds.
_CLOCK_S = 2.0


class Process(NamedTuple):
    """A process, by the names that its own pid namespace knows it under.

    ``start_ticks`` are 0 where the process could not ask for its own: then it is the one of that
    pid that had been started by ``written_ns``, when it wrote that. ``owner`` is the user who
    says all this, None where that is the watcher itself.
    """

    host: str
    boot_id: str
    pid_namespace: int
    pid: int
    start_ticks: int
    written_ns: int = 0
    owner: int | None = None

    @property
    def uid(self) -> str:
        """The name of its files."""
        return identity.worker_uid(self.host, self.boot_id, self.pid, self.start_ticks)

    @classmethod
    def of(cls, header: Header, owner: int) -> Process:
        """The process that wrote a segment, which belongs to the user ``owner``."""
        return cls(
            header.host,
            header.boot_id,
            header.pid_namespace,
            header.pid,
            header.start_ticks,
            0 if header.start_ticks else header.wall_ns,
            owner,
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
        """ALIVE, DEAD, HIDDEN or FOREIGN for each process."""
        self.wait(0)
        states = {}
        foreign = []
        for process in processes:
            if process in self._died_ns:
                states[process] = DEAD
            elif process in self._fds:
                states[process] = ALIVE if self._is_still_owned(process) else FOREIGN
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
        state = _state(pid, process)
        if state != ALIVE:
            if fd is not None:
                os.close(fd)
            return self._dead(process) if state == DEAD else state
        self._alive.add(process)
        self._pids[process] = pid
        if fd is not None:
            self._fds[process] = fd
            self._watched[fd] = process
            self._poll.register(fd, select.POLLIN)
        return ALIVE

    def _is_still_owned(self, process: Process) -> bool:
        """Whether a process that is watched has not become another user's, as by sudo(8)."""
        if process.owner in (None, 0) or _owner(self._pids[process]) in (None, process.owner):
            return True
        self._let_go(process)
        self._pids.pop(process, None)
        return False

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


def _state(pid: int, process: Process) -> str:
    """ALIVE, FOREIGN or DEAD, of the process that goes by the number ``pid`` here."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        # A zombie has no memory left to write from, unless only its first thread has ended.
        if stat[0] in (b"Z", b"X") and len(list(Path(f"/proc/{pid}/task").iterdir())) <= 1:
            return DEAD
        if not _started_right(int(stat[19]), process):
            return DEAD
        return ALIVE if _is_owned(pid, process.owner) else FOREIGN
    except (OSError, IndexError, ValueError):
        return DEAD


def _started_right(ticks: int, process: Process) -> bool:
    if process.start_ticks:
        return ticks == process.start_ticks
    booted_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    started_s = booted_s + ticks / os.sysconf("SC_CLK_TCK")
    return started_s <= process.written_ns / 1e9 + _CLOCK_S


def _is_owned(pid: int, owner: int | None) -> bool:
    """Whether all user ids of a process (real, effective, saved) are its owner's. Root may speak
    of any process: a worker may have made its journal before it gave up root's rights."""
    if owner in (None, 0):
        return True
    for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
        if line.startswith(b"Uid:"):
            return {int(uid) for uid in line.split()[1:4]} == {owner}
    return False


def _owner(pid: int) -> int | None:
    """The effective user of a process; None where there is none."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


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
