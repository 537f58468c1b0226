"""The ways in which the workers of ``dashboard_store`` end, and what the watcher saw of each."""

from __future__ import annotations

import random

from standfast.store.evidence import (
    MASTER_SIGNAL,
    NEIGHBOUR_OOM_KILL,
    OOM_COUNTER,
    OOM_KILL,
    TIMEOUT,
    Fact,
    Source,
)
from standfast.watch.facts import exit_fact, traceback_fact

MIB = 2**20
GIB = 2**30
#: As ``threading.get_ident`` gives them.
THREADS = [139_637_976_000_000 + 8_392_704 * number for number in range(8)]

#: The exit code (-N for signal N), and the facts that tell more than that.
End = tuple[int, list[Fact]]


def crash(chance: random.Random, pid: int, at_ns: int) -> End:
    """A fatal signal, with faulthandler's word."""
    thread = f"Current thread 0x{THREADS[0]:016x} (most recent call first):\n"
    frames = "".join(
        f'  File "/srv/shop/lib/render_{chance.randrange(9)}.py", line {line} in draw_{line}\n'
        for line in range(30, 60)
    )
    fact = traceback_fact(f"Fatal Python error: Segmentation fault\n\n{thread}{frames}", at_ns)
    assert fact is not None
    return -11, [fact, exit_fact(Source.MASTER, at_ns + 1, pid, -11)]


def timeout(chance: random.Random, pid: int, at_ns: int) -> End:
    """The master's time-out."""
    words = f"the master ended worker {pid} after 30 s without an answer"
    data = {"signal": "SIGKILL", "timeout_s": 30.0}
    return -9, [Fact(TIMEOUT, "master", at_ns, words, data)]


def memory(chance: random.Random, pid: int, at_ns: int) -> End:
    """Out of the memory that its control group may have."""
    words = f"Memory cgroup out of memory: Killed process {pid} (gunicorn) total-vm:900000kB"
    cgroup = "/system.slice/shop.service"
    killed = {"victim_pid": pid, "rss_bytes": 500 * MIB, "scope": "cgroup", "cgroup": cgroup}
    counted = {"before": 3, "after": 4, "limit_bytes": 512 * MIB, "cgroup": cgroup}
    return -9, [
        Fact(OOM_KILL, "/dev/kmsg", at_ns, words, killed),
        Fact(OOM_COUNTER, "memory.events", at_ns, "oom_kill went from 3 to 4", counted),
    ]


def neighbour(chance: random.Random, pid: int, at_ns: int) -> End:
    """The host had no memory left."""
    words = "Out of memory: Killed process 77 (mysqld) total-vm:9000000kB"
    data = {"victim_pid": 77, "rss_bytes": 9 * GIB, "scope": "host", "name": "mysqld"}
    return -9, [Fact(NEIGHBOUR_OOM_KILL, "/dev/kmsg", at_ns, words, data)]


def killed(chance: random.Random, pid: int, at_ns: int) -> End:
    """SIGKILL from nobody knows where."""
    return -9, []


def left(chance: random.Random, pid: int, at_ns: int) -> End:
    """It ended itself."""
    return 3, [exit_fact(Source.MASTER, at_ns + 1, pid, 3)]


def reloaded(chance: random.Random, pid: int, at_ns: int) -> End:
    """A reload by the operator that took too long."""
    words = f"the master sent SIGKILL to worker {pid} for a reload"
    data = {"signal": "SIGKILL", "reason": "reload", "timeout_s": 30.0}
    return -9, [Fact(MASTER_SIGNAL, "master", at_ns, words, data)]


#: The ways to end, and how often each is.
ENDS = (
    (crash, 35), (timeout, 20), (memory, 15), (neighbour, 5), (killed, 10), (left, 5),
    (reloaded, 10),
)  # fmt: skip
