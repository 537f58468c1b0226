"""What the kernel wrote of a kill is a fact of the process that it killed, and of no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.store.evidence import DESCENDANT_OOM_KILL, LOG, NEIGHBOUR_OOM_KILL, OOM_KILL
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.kernel_log import KernelLog, Parser
from standfast.watch.liveness import Process

#: As Linux 6.18 and 5.10 wrote them.
IN_A_CGROUP = (
    "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "memory: usage 221184kB, limit 221184kB, failcnt 1212",
    "swap: usage 0kB, limit 9007199254740988kB, failcnt 0",
    "[   9512]     0  9512    18274     6961     5113     1848         0   163840        0"
    "             0 gunicorn",
    "[  10788]     0 10788    97545    55342    53666     1676         0   544768        0"
    "             0 python3",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
    "oom_memcg=/shop,task_memcg=/shop/worker,task=python3,pid=10788,uid=0",
    "Memory cgroup out of memory: Killed process 10788 (python3) total-vm:390180kB, "
    "anon-rss:214664kB, file-rss:6704kB, shmem-rss:0kB, UID:0 pgtables:532kB oom_score_adj:0",
)
ON_THE_HOST = (
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
    "task_memcg=/system.slice/db.service,task=mariadbd,pid=77,uid=105",
    "Out of memory: Killed process 77 (mariadbd) total-vm:9390180kB, anon-rss:7214664kB, "
    "file-rss:0kB, shmem-rss:12kB, UID:105 pgtables:532kB oom_score_adj:0",
)
PROCESS = Process("web1", "boot", 0, 10788, 5)


def kernel_log(tmp_path: Path, *texts: str, at_s: float | None = None) -> KernelLog:
    """A kernel log with these lines, each a microsecond later."""
    at_us = int((time.monotonic() if at_s is None else at_s) * 1e6)
    lines = [f"6,{n},{at_us + n},-;{text}\n" for n, text in enumerate(texts)]
    path = tmp_path / "kmsg"
    path.write_text("".join(lines))
    return _Whole(str(path))


class _Whole(KernelLog):
    """A file gives all its lines at once, where the kernel gives one at each reading."""

    def _read(self) -> None:
        while line := os.read(self._fd, 65536):
            started_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            for one in line.decode().splitlines():
                head, _, text = one.partition(";")
                self._parser.take(text, started_ns + int(head.split(",")[2]) * 1000)


def death(pid: int, died_ns: int | None = None) -> Death:
    died_ns = time.time_ns() if died_ns is None else died_ns
    return Death(1, PROCESS._replace(pid=pid), pid, died_ns, died_ns)


def test_a_kill_in_a_cgroup_is_a_fact_of_its_victim(tmp_path: Path) -> None:
    (fact,) = kernel_log(tmp_path, *IN_A_CGROUP).facts(death(10788))
    assert (fact.kind, fact.source) == (OOM_KILL, "/dev/kmsg")
    assert fact.text == f"{IN_A_CGROUP[-2]}\n{IN_A_CGROUP[-1]}"
    assert fact.data["limit_bytes"] == 221184 * 1024
    assert fact.data["victim_pid"] == 10788
    assert fact.data["rss_bytes"] == (214664 + 6704) * 1024
    assert (fact.data["scope"], fact.data["cgroup"]) == ("cgroup", "/shop")
    assert [name for name, _ in fact.data["largest"]] == ["python3", "gunicorn"]
    assert abs(fact.at_ns - time.time_ns()) < 1e9


def test_a_kill_of_somebody_else_is_a_neighbours(tmp_path: Path) -> None:
    (fact,) = kernel_log(tmp_path, *ON_THE_HOST).facts(death(10788))
    assert (fact.kind, fact.data["name"], fact.data["scope"]) == (
        NEIGHBOUR_OOM_KILL, "mariadbd", "host",
    )  # fmt: skip
    assert fact.data["rss_bytes"] == (7214664 + 12) * 1024


def test_a_kill_of_another_worker_of_ours_is_nobodys_neighbour(tmp_path: Path) -> None:
    log = kernel_log(tmp_path, *IN_A_CGROUP)
    log.look([Living(2, PROCESS, 10788)])
    assert log.facts(death(500)) == []


def test_the_kill_of_a_process_that_the_worker_had_started_is_a_fact_of_its_own(
    tmp_path: Path,
) -> None:
    """Two generations down, and of an orphan: the one between has ended."""
    code = "import subprocess as s\n"
    code += "print(s.Popen(['sleep', '600'], stdout=s.DEVNULL).pid, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    grandchild = int(child.stdout.readline())
    log = kernel_log(tmp_path)
    try:
        log.look([Living(1, PROCESS, os.getpid())])
        child.stdin.close()
        child.wait()
        log.look([Living(1, PROCESS, os.getpid())])
        started_ns = time.time_ns()
        for line in IN_A_CGROUP:
            log._parser.take(line.replace("10788", str(grandchild)), started_ns)
        (fact,) = log.facts(death(os.getpid()))
        assert (fact.kind, fact.data["victim_pid"]) == (DESCENDANT_OOM_KILL, grandchild)
    finally:
        child.stdout.close()
        os.kill(grandchild, signal.SIGKILL)


def test_the_kill_of_the_master_is_no_neighbours(tmp_path: Path) -> None:
    log = kernel_log(tmp_path, *[line.replace("10788", str(os.getppid())) for line in IN_A_CGROUP])
    log.look([Living(1, PROCESS, os.getpid())])
    assert log.facts(death(os.getpid())) == []


def test_who_was_a_neighbour_of_a_worker_that_nobody_saw_alive_is_not_known(
    tmp_path: Path,
) -> None:
    log = kernel_log(tmp_path, *ON_THE_HOST)
    assert log.facts(death(10788)._replace(pid=None)) == []
    killed = kernel_log(tmp_path, *IN_A_CGROUP).facts(death(10788)._replace(pid=None))
    assert [fact.kind for fact in killed] == [OOM_KILL]


def test_the_limit_of_one_report_is_not_that_of_the_next(tmp_path: Path) -> None:
    start = IN_A_CGROUP[0]
    (fact,) = kernel_log(tmp_path, *IN_A_CGROUP[:3], start, *IN_A_CGROUP[3:]).facts(death(10788))
    assert fact.data["limit_bytes"] is None
    (fact,) = kernel_log(tmp_path, *IN_A_CGROUP[:3], *ON_THE_HOST).facts(death(77))
    assert (fact.data["limit_bytes"], fact.data["scope"]) == (None, "host")


def test_a_kill_of_long_ago_says_nothing(tmp_path: Path) -> None:
    log = kernel_log(tmp_path, *IN_A_CGROUP, at_s=time.monotonic() - 60)
    assert log.facts(death(10788)) == []


@pytest.mark.parametrize(
    "text",
    [
        "python3[10788]: segfault at 8 ip 00007f1e sp 00007ffd error 4 in libc.so.6[7f1e+155000]",
        "traps: python3[10788] general protection fault ip:7f sp:7ff error:0 in libc.so.6[7f+1]",
        "traps: python3[10788] trap invalid opcode ip:55 sp:7ff error:0 in python3.11[55+2a]",
        "gunicorn: work [shop][10788]: segfault at 8 ip 00007f1e sp 00007ffd error 4",
        "traps: my worker[10788] general protection fault ip:7f sp:7ff error:0 in libc.so.6[7f+1]",
    ],
)
def test_a_fault_of_memory_is_told_with_the_kernels_words(tmp_path: Path, text: str) -> None:
    log = kernel_log(tmp_path, text)
    assert [(fact.kind, fact.text) for fact in log.facts(death(10788))] == [(LOG, text)]
    assert log.facts(death(10789)) == []


def test_where_the_log_may_not_be_read_there_is_nothing_to_say(tmp_path: Path) -> None:
    log = KernelLog(str(tmp_path / "no-such-log"))
    log.look([])
    assert log.facts(death(10788)) == []
    log.close()


def test_processes_with_spaces_in_their_names_are_told_by_their_names(tmp_path: Path) -> None:
    table = IN_A_CGROUP[4].replace("python3", "my worker (2)")
    kill = IN_A_CGROUP[6].replace("python3", "my worker (2)").replace(") total", "), UID 7, total")
    (fact,) = kernel_log(tmp_path, table, kill).facts(death(10788))
    assert fact.data["largest"] == [["my worker (2)", 55342 * 4096]]


@given(st.lists(st.one_of(st.text(), st.sampled_from(IN_A_CGROUP + ON_THE_HOST)), max_size=20))
def test_no_line_of_the_log_does_harm(lines: list[str]) -> None:
    parser = Parser()
    for line in lines:
        parser.take(line, 0)
    assert len(parser.kills) <= len(lines)


@pytest.mark.parametrize(("uid", "facts"), [(60_001, 1), (60_002, 0)])
def test_a_kill_that_the_kernel_lays_to_another_user_is_none_of_a_process_nobody_saw(
    tmp_path: Path, uid: int, facts: int
) -> None:
    line = IN_A_CGROUP[-1].partition("shmem-rss")[0] + f"shmem-rss:0kB, UID:{uid} pgtables:4kB"
    log = kernel_log(tmp_path, line)
    unseen = death(10788)._replace(process=PROCESS._replace(owner=60_001), is_proven=False)
    assert len(log.facts(unseen)) == facts
    assert len(log.facts(unseen._replace(is_proven=True))) == 1
