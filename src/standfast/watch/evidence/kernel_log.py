"""What the kernel says of processes that it ended: out of memory, and faults of memory.

Lines of /dev/kmsg are ``priority,number,microseconds,flags;text`` (Documentation/ABI/testing/
dev-kmsg); the time is since boot, by a clock that stands still while the host sleeps. The kernel
names processes by their pids in the first pid namespace.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from standfast.store.evidence import (
    DESCENDANT_OOM_KILL,
    LOG,
    NEIGHBOUR_OOM_KILL,
    OOM_KILL,
    Fact,
    Source,
)

from .collector import Death, Living
from .family import Family

PATH = "/dev/kmsg"
#: A kill belongs to a death so many seconds before or after it.
NEAR_S = 10.0
_LINE = re.compile(r"\d+,\d+,(\d+),[^;]*;([^\n]*)")
_KILLED = re.compile(
    r"(Memory cgroup out of memory|Out of memory[^:]*): Killed process (\d+) \((.*?)\)"
    r"(?:, UID \d+,)? "
    r"total-vm:(\d+)kB, anon-rss:(\d+)kB, file-rss:(\d+)kB(?:, shmem-rss:(\d+)kB)?"
    r"(?:, UID:(\d{1,10}))?"
)
_WHERE = re.compile(r"oom-kill:constraint=(\w+),.*?(?:oom_memcg=([^,]*),)?task_memcg=([^,]*),")
#: The first line of a report, and the one of what the group had used of what it may use, in KiB.
_INVOKED = re.compile(r".{1,16} invoked oom-killer: ")
_USAGE = re.compile(r"memory: usage (\d{1,18})kB, limit (\d{1,18})kB")
_UNLIMITED = 2**60
_IN_A_GROUP = "CONSTRAINT_MEMCG"
#: A line of the kernel's table of tasks: pid, uid, tgid, total_vm, rss (in pages), …, score, name.
#: Names may have spaces and brackets.
_TASK = re.compile(r"\[ *(\d+)\] +\d+ +\d+ +\d+ +(\d+)(?: +\d+){2,6} +-?\d+ (.{1,64})$")
_FAULT = re.compile(
    r"(?:traps: )?.{1,32}?\[(\d{1,10})\](?:: segfault at|:? trap| general protection)"
)
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: So many kills, and processes beside each, are remembered; so much is read at once.
_KILLS = 200
_LARGEST = 5
_LINES_AT_ONCE = 5000


class Kill(NamedTuple):
    """One out-of-memory kill; ``largest`` are (name, bytes) of the largest processes then,
    ``limit_bytes`` what the group may use, where it was the group that had no more, ``uid`` the
    user of the process, where the kernel says it."""

    at_ns: int
    pid: int
    name: str
    rss_bytes: int
    scope: str
    cgroup: str
    text: str
    largest: list[tuple[str, int]]
    limit_bytes: int | None = None
    uid: int | None = None


class Parser:
    """Takes the kernel's lines one by one and remembers what matters. Never raises."""

    def __init__(self) -> None:
        self.kills: deque[Kill] = deque(maxlen=_KILLS)
        self.faults: deque[tuple[int, int, str]] = deque(maxlen=_KILLS)
        self._tasks: list[tuple[str, int]] = []
        self._where = ("", "")
        self._where_text = ""
        self._limit_bytes: int | None = None

    def take(self, text: str, at_ns: int) -> None:
        """One line of the log, without its head."""
        if _INVOKED.match(text):
            self._tasks, self._where, self._where_text = [], ("", ""), ""
            self._limit_bytes = None
        elif match := _USAGE.match(text):
            limit_bytes = int(match[2]) * 1024
            self._limit_bytes = limit_bytes if limit_bytes < _UNLIMITED else None
        elif match := _TASK.match(text):
            if len(self._tasks) < _LINES_AT_ONCE:
                self._tasks.append((match[3], int(match[2]) * _PAGE))
        elif match := _WHERE.search(text):
            self._where = (match[1], match[2] or match[3])
            self._where_text = text
        elif match := _KILLED.search(text):
            rss = sum(int(match[n] or 0) for n in (5, 6, 7)) * 1024
            # The constraint says it too where the words of the last line are those of a host.
            cgroup = match[1].startswith("Memory cgroup") or self._where[0] == _IN_A_GROUP
            largest = sorted(self._tasks, key=lambda task: -task[1])[:_LARGEST]
            words = f"{self._where_text}\n{text}".strip()
            scope = "cgroup" if cgroup else "host"
            path = self._where[1] if cgroup else ""
            limit = self._limit_bytes if cgroup else None
            uid = int(match[8]) if match[8] else None
            kill = Kill(
                at_ns, int(match[2]), match[3], rss, scope, path, words, largest, limit, uid
            )
            self.kills.append(kill)
            # Where a whole group is killed, several of these lines follow one report.
            self._tasks = []
        elif match := _FAULT.match(text):
            self.faults.append((at_ns, int(match[1]), text))


class KernelLog:
    """Reads the kernel's log as it grows; says nothing where that is not allowed."""

    def __init__(self, path: str = PATH) -> None:
        self._parser = Parser()
        self._ours: set[int] = set()
        self._family = Family()
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def look(self, living: Sequence[Living]) -> None:
        """Reads on, and remembers which processes are applications' workers."""
        self._ours.update(worker.pid for worker in living)
        if self._fd >= 0:
            self._family.look()
        self._read()

    def facts(self, death: Death) -> list[Fact]:
        """The kill of this process, of processes that it had started and of others near in time,
        and faults of its memory."""
        self._read()
        pid = death.process.pid if death.pid is None else death.pid
        early_ns = min(death.alive_ns, death.died_ns) - int(NEAR_S * 1e9)
        late_ns = death.died_ns + int(NEAR_S * 1e9)
        found = []
        for kill in self._parser.kills:
            if not early_ns <= kill.at_ns <= late_ns:
                continue
            data = {
                "victim_pid": kill.pid,
                "rss_bytes": kill.rss_bytes,
                "scope": kill.scope,
                "cgroup": kill.cgroup,
                "limit_bytes": kill.limit_bytes,
                "largest": [[name, size] for name, size in kill.largest],
            }
            if kill.pid == pid:
                if not death.is_proven and kill.uid not in (None, death.process.owner):
                    continue
                found.append(Fact(OOM_KILL, Source.KMSG, kill.at_ns, kill.text, data))
            elif (
                death.pid is not None
                and death.is_proven
                and (kind := self._relation(kill.pid, pid))
            ):
                named = {**data, "name": kill.name}
                found.append(Fact(kind, Source.KMSG, kill.at_ns, kill.text, named))
        for at_ns, struck, text in self._parser.faults:
            if struck == pid and early_ns <= at_ns <= late_ns:
                found.append(Fact(LOG, Source.KMSG, at_ns, text, {"log": PATH}))
        return found

    def _relation(self, victim: int, worker: int) -> str | None:
        """What a killed process was to a worker that was seen alive: one that it had started, or a
        neighbour; None for other workers, their masters, and what they had started."""
        if victim in self._ours:
            return None
        ancestors = self._family.ancestors(victim)
        if worker in ancestors:
            return DESCENDANT_OOM_KILL
        if not self._ours.isdisjoint(ancestors):
            return None
        is_master = any(victim in self._family.ancestors(other) for other in self._ours)
        return None if is_master else NEIGHBOUR_OOM_KILL

    def forget(self, death: Death) -> None:
        """Its pid may be another's from now on."""
        if death.pid is not None:
            self._ours.discard(death.pid)

    def close(self) -> None:
        """Closes the log."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        if self._fd < 0:
            return
        started_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for _ in range(_LINES_AT_ONCE):
            try:
                line = os.read(self._fd, 8192).decode("utf-8", "backslashreplace")
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue  # the kernel has written over what was not read yet; the next is whole
            except OSError:
                return
            if match := _LINE.match(line):
                self._parser.take(match[2], started_ns + int(match[1]) * 1000)
