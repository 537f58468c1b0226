from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from standfast.journal import identity
from standfast.watch.liveness import ALIVE, DEAD, HIDDEN, Liveness, Process


def process_of(pid: int) -> Process:
    boot, namespace = identity.boot_id(), identity.pid_namespace()
    return Process("host", boot, namespace, pid, identity.start_ticks(pid))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


@pytest.fixture(params=[512, 0], ids=["pidfd", "polling"])
def liveness(request: pytest.FixtureRequest) -> Iterator[Liveness]:
    it = Liveness(limit=request.param)
    yield it
    it.close()


def state(liveness: Liveness, process: Process) -> str:
    return liveness.states([process])[process]


def test_a_process_is_alive_until_it_ends(
    liveness: Liveness, sleeper: subprocess.Popen[bytes]
) -> None:
    process = process_of(sleeper.pid)
    assert state(liveness, process) == ALIVE
    assert liveness.died_ns(process) is None
    before = time.time_ns()
    sleeper.kill()
    # Not reaped yet: a zombie is dead, it writes no more.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert state(liveness, process) == DEAD
    died_ns = liveness.died_ns(process)
    assert died_ns is not None
    assert before <= died_ns <= time.time_ns()
    sleeper.wait()
    assert state(liveness, process) == DEAD
    assert liveness.died_ns(process) == died_ns


def test_waiting_ends_with_the_death_and_keeps_its_moment(
    sleeper: subprocess.Popen[bytes],
) -> None:
    liveness = Liveness()
    process = process_of(sleeper.pid)
    liveness.states([process])
    sleeper.send_signal(signal.SIGSEGV)
    liveness.wait(30)
    assert liveness.died_ns(process) is not None
    started = time.monotonic()
    liveness.wait(0.05)
    assert time.monotonic() - started > 0.04, "a death is told once"
    liveness.forget(process)
    assert liveness.died_ns(process) is None


def test_a_pid_that_is_used_again_is_another_process(
    liveness: Liveness, sleeper: subprocess.Popen[bytes]
) -> None:
    earlier = process_of(sleeper.pid)._replace(start_ticks=identity.start_ticks(sleeper.pid) - 1)
    assert state(liveness, earlier) == DEAD
    assert liveness.died_ns(earlier) is None, "nobody saw it die"


def test_a_process_that_could_not_ask_for_its_start_is_the_one_that_was_there_when_it_wrote(
    liveness: Liveness, sleeper: subprocess.Popen[bytes]
) -> None:
    """As a worker whose descriptors are used up: it lives, and nothing else may be said of it."""
    unknown = process_of(sleeper.pid)._replace(start_ticks=0, boot_id="")
    assert state(liveness, unknown._replace(written_ns=time.time_ns())) == ALIVE
    long_before = time.time_ns() - 3600 * 10**9
    assert state(liveness, unknown._replace(written_ns=long_before)) == DEAD
    sleeper.kill()
    sleeper.wait()
    assert state(liveness, unknown._replace(written_ns=time.time_ns())) == DEAD


def test_the_same_pid_and_start_of_another_boot_is_another_process(
    liveness: Liveness, sleeper: subprocess.Popen[bytes]
) -> None:
    assert state(liveness, process_of(sleeper.pid)._replace(boot_id="earlier")) == DEAD


@pytest.mark.parametrize("pid", [0, 2**22 + 1, 2**32 - 1, 2**40])
def test_a_pid_that_nobody_has_is_dead(liveness: Liveness, pid: int) -> None:
    assert state(liveness, process_of(os.getpid())._replace(pid=pid)) == DEAD


def test_in_a_namespace_that_cannot_be_looked_into_nobody_is_called_dead() -> None:
    liveness = Liveness()
    elsewhere = process_of(os.getpid())._replace(pid_namespace=1)
    liveness._sees_all = False
    assert state(liveness, elsewhere) == HIDDEN
    liveness._sees_all = True
    assert state(liveness, elsewhere) == DEAD


def test_a_worker_in_a_container_is_found_and_seen_to_die() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.getuid() != 0:
        pytest.skip("making a pid namespace takes root and unshare")
    code = (
        "import os, time; from standfast.journal import identity as i;"
        " print(os.getpid(), i.start_ticks(os.getpid()), i.pid_namespace(), flush=True);"
        " time.sleep(60)"
    )
    command = [unshare, "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([*command, "-c", code], stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        pid, ticks, namespace = map(int, child.stdout.readline().split())
        assert pid < 10
        inside = Process("host", identity.boot_id(), namespace, pid, ticks)
        for limit in (512, 0):
            liveness = Liveness(limit=limit)
            assert state(liveness, inside) == ALIVE
            assert state(liveness, inside._replace(start_ticks=ticks - 1)) != ALIVE
        watched = Liveness()
        assert state(watched, inside) == ALIVE
        child.kill()
        watched.wait(30)
        assert state(watched, inside) == DEAD
        assert watched.died_ns(inside) is not None
