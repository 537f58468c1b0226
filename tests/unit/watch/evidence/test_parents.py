"""Real parents of real children end, and it is known of the children."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.parents import Parents
from standfast.watch.liveness import Process

kernel_tells_exits = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15)

PARENT = """
import os, sys, time
for _ in range(2):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
sys.stdin.read()
os._exit(3)
"""


@contextmanager
def family() -> Iterator[tuple[subprocess.Popen[bytes], list[Living]]]:
    """A parent and its two children; all have ended afterwards."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None and parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    living = [
        Living(number, Process("host", "boot", 0, pid, identity.start_ticks(pid)), pid)
        for number, pid in enumerate(pids)
    ]
    try:
        yield parent, living
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        parent.kill()
        parent.wait()
        for pipe in (parent.stdin, parent.stdout):
            pipe.close()


def death_of(worker: Living) -> Death:
    now = time.time_ns()
    return Death(worker.worker_id, worker.process, worker.pid, now, now)


@pytest.mark.skipif(not kernel_tells_exits, reason="Linux 6.15 tells exits through pidfds")
@pytest.mark.parametrize("how", ["killed", "leaves"])
def test_how_the_parent_ended_is_a_fact_about_each_child(how: str) -> None:
    parents = Parents()
    with family() as (parent, living):
        parents.look(living)
        assert parents.facts(death_of(living[0])) == []
        if how == "killed":
            parent.kill()
            data: dict[str, object] = {"signal": "SIGKILL"}
        else:
            assert parent.stdin is not None
            parent.stdin.close()
            data = {"exit_code": 3}
        parent.wait()
        parents.look(living)
        for worker in living:
            (fact,) = parents.facts(death_of(worker))
            assert (fact.kind, fact.source) == ("parent_exit", "pidfd")
            found = dict(fact.data)
            assert 0 <= found.pop("before_s") < 30
            assert found == {**data, "parent_pid": parent.pid}
            assert parents.facts(death_of(worker))[0].at_ns == fact.at_ns
        before = len(list(Path("/proc/self/fd").iterdir()))
        parents.forget(death_of(living[0]))
        assert len(parents.facts(death_of(living[1]))) == 1
        parents.forget(death_of(living[1]))
        assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
        assert parents.facts(death_of(living[1])) == []


def test_whoever_took_an_orphan_in_is_not_its_parent() -> None:
    parents = Parents()
    with family() as (parent, living):
        parent.kill()
        parent.wait()
        orphan = living[0]
        while identity_of_parent(orphan.pid) == parent.pid:
            time.sleep(0.01)
        if identity_of_parent(orphan.pid) != 1:
            pytest.skip("a sub-reaper takes orphans in here")
        parents.look([orphan])
        assert parents.facts(death_of(orphan)) == []


def identity_of_parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_of_a_process_that_is_gone_nothing_is_said() -> None:
    parents = Parents()
    gone = Living(1, Process("host", "boot", 0, 2**22 + 5, 5), 2**22 + 5)
    parents.look([gone])
    assert parents.facts(death_of(gone)) == []
    parents.forget(death_of(gone))
    parents.close()
