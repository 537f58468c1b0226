"""A master hears of its children what it would hear without us, and it is written down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from standfast.journal import identity
from standfast.journal.format import EXIT, SIGNAL, TIMEOUT, Exit, Signal, unpack_exit, unpack_signal
from standfast.record import children
from tests.unit.journal.segments import read_folder

#: What a child does, by the way it ends: an exit code, or minus a signal.
ENDS = {
    0: "exit 0", 3: "exit 3", 255: "exit 255", -signal.SIGTERM: "kill -TERM $$",
    -signal.SIGKILL: "kill -KILL $$", -signal.SIGSEGV: "ulimit -c 0; kill -SEGV $$",
}  # fmt: skip


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STANDFAST_JOURNAL", str(tmp_path))
    monkeypatch.setenv("STANDFAST_APP", "shop")
    return tmp_path


def child(words: str) -> int:
    """The pid of a child that runs a shell command."""
    return os.posix_spawn("/bin/sh", ["sh", "-c", words], os.environ)


def worker(words: str) -> int:
    """The same, of a child that the master has started to serve requests."""
    pid = child(words)
    children.add_worker(pid)
    return pid


def recorded(journal: Path) -> list[Exit | Signal]:
    """The exits and signals that were written down, in order."""
    found: list[Exit | Signal | None] = []
    for _, records in read_folder(journal):
        for kind, flags, body in records:
            assert kind in (EXIT, SIGNAL)
            found.append(unpack_exit(body, flags) if kind == EXIT else unpack_signal(body))
    return [one for one in found if one is not None]


@pytest.mark.parametrize(("code", "words"), ENDS.items())
def test_the_status_of_a_child_is_what_the_system_says_and_is_written_down(
    journal: Path, code: int, words: str
) -> None:
    before = time.time_ns()
    pid = worker(words)
    assert children.waitpid(pid, 0) == (pid, os_status(words))
    (dead,) = recorded(journal)
    assert isinstance(dead, Exit)
    assert (dead.pid, dead.code, dead.worker) == (pid, code, True)
    assert before <= dead.wall_ns <= time.time_ns()


def os_status(words: str) -> int:
    """What ``os.waitpid`` says of such a child."""
    return os.waitpid(child(words), 0)[1]


def test_the_child_is_named_by_its_start_too(journal: Path) -> None:
    pid = worker("sleep 0.2")
    ticks = identity.start_ticks(pid)
    assert ticks > 0
    children.waitpid(pid, 0)
    (dead,) = recorded(journal)
    assert dead.start_ticks == ticks


def test_a_master_that_does_not_want_to_wait_does_not(journal: Path) -> None:
    pid = worker("sleep 60")
    assert children.waitpid(pid, os.WNOHANG) == (0, 0)
    assert recorded(journal) == []
    os.kill(pid, signal.SIGKILL)
    assert children.waitpid(pid, 0) == (pid, signal.SIGKILL)
    assert [dead.pid for dead in recorded(journal)] == [pid]


def test_a_child_that_is_none_is_an_error_as_it_always_was(journal: Path) -> None:
    pid = worker("exit 0")
    children.waitpid(pid, 0)
    for options in (0, os.WNOHANG):
        with pytest.raises(ChildProcessError):
            children.waitpid(pid, options)
    assert len(recorded(journal)) == 1


def test_a_group_of_children_is_waited_for_as_it_always_was(journal: Path) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ, setpgroup=0)
    assert children.waitpid(-pid, 0) == (pid, 4 << 8)
    assert recorded(journal) == []


def test_only_the_module_that_is_watched_sees_the_change() -> None:
    module = ModuleType("master")
    module.os = os  # type: ignore[attr-defined]
    own = os.waitpid
    children.watch_children(module)
    assert module.os.waitpid is children.waitpid
    assert os.waitpid is own
    assert module.os.WNOHANG == os.WNOHANG
    assert module.os.path is os.path


def test_what_is_put_into_os_later_is_what_the_watched_module_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("master")
    children.watch_children(module)

    def waits(pid: int, options: int) -> tuple[int, int]:
        return pid, options

    monkeypatch.setattr(os, "waitpid", waits)
    monkeypatch.setattr(os, "fork", lambda: 7)
    assert module.os.waitpid(5, 9) == (5, 9)
    assert module.os.fork() == 7
    monkeypatch.setattr(module.os, "waitpid", lambda pid, options: (1, 1))
    assert os.waitpid(5, 9) == (1, 1)


def test_a_child_that_serves_nothing_is_its_masters_affair(journal: Path) -> None:
    pid = child("exit 3")
    assert children.waitpid(pid, 0) == (pid, 3 << 8)
    assert recorded(journal) == []


def test_a_journal_that_cannot_be_written_keeps_no_master_from_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STANDFAST_JOURNAL", "/dev/null/journal")
    pid = worker("exit 3")
    assert children.waitpid(pid, 0) == (pid, 3 << 8)
    pid = worker("sleep 60")
    children.note_signal(pid, signal.SIGKILL, TIMEOUT)
    os.kill(pid, signal.SIGKILL)
    assert children.waitpid(pid, 0) == (pid, signal.SIGKILL)


def test_a_signal_to_a_worker_is_written_down_once_and_its_death_after_it(journal: Path) -> None:
    pid = worker("sleep 60")
    ticks = identity.start_ticks(pid)
    for _ in range(3):
        children.note_signal(pid, signal.SIGABRT, TIMEOUT, 30.0)
    assert children.reason_before(pid) == TIMEOUT
    children.note_signal(pid, signal.SIGKILL, TIMEOUT)
    os.kill(pid, signal.SIGKILL)
    children.waitpid(pid, 0)
    assert children.reason_before(pid) is None
    assert pid not in children.workers
    first, second, dead = recorded(journal)
    assert isinstance(first, Signal) and isinstance(second, Signal) and isinstance(dead, Exit)
    assert first[1:] == (ticks, pid, signal.SIGABRT, TIMEOUT, 30_000_000_000)
    assert second[1:] == (ticks, pid, signal.SIGKILL, TIMEOUT, None)
    assert (dead.pid, dead.code, dead.worker) == (pid, -signal.SIGKILL, True)


def test_a_signal_to_a_worker_that_has_died_by_itself_is_not_its_reason(journal: Path) -> None:
    pid = worker("exit 3")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.note_signal(pid, signal.SIGKILL, TIMEOUT)
    children.waitpid(pid, 0)
    (dead,) = recorded(journal)
    assert isinstance(dead, Exit) and dead.code == 3


def test_a_signal_to_a_child_that_is_no_worker_is_its_masters_affair(journal: Path) -> None:
    pid = child("sleep 60")
    children.note_signal(pid, signal.SIGKILL, TIMEOUT)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert recorded(journal) == []


#: Forks children that end in every way, and prints what it hears of them.
MULTIPROCESSING = """
import multiprocessing, multiprocessing.popen_fork, os, signal, sys
if sys.argv[1] == "watched":
    from standfast.record.children import watch_multiprocessing
    watch_multiprocessing(multiprocessing.popen_fork)
def end(code):
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)
fork = multiprocessing.get_context("fork")
for code in (0, 3, 255, -signal.SIGTERM, -signal.SIGKILL):
    child = fork.Process(target=end, args=(code,))
    child.start()
    child.join()
    print(child.exitcode, child.is_alive())
child = fork.Process(target=signal.pause)
child.start()
print(child.join(0.01), child.exitcode, child.is_alive())
child.kill()
child.join(30)
print(child.exitcode)
"""


def test_multiprocessing_hears_how_its_children_ended(journal: Path) -> None:
    heard = {
        how: subprocess.run(
            [sys.executable, "-c", MULTIPROCESSING, how],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout
        for how in ("plain", "watched")
    }  # fmt: skip
    assert heard["watched"] == heard["plain"]
    codes = [dead.code for dead in recorded(journal) if isinstance(dead, Exit)]
    assert codes == [0, 3, 255, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGKILL]


#: Reaps whoever has died, as gunicorn's arbiter does.
ARBITER = """
import os, signal
from standfast.record import children
def fork(code):
    pid = os.fork()
    if pid == 0:
        assert not children.workers, "a child has no children yet"
        os.kill(os.getpid(), -code) if code < 0 else os._exit(code)
    children.add_worker(pid)
    return pid
codes = {fork(code): code for code in (0, 4, -signal.SIGKILL)}
for pid in codes:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
while codes:
    pid, status = children.waitpid(-1, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status) == codes.pop(pid)
try:
    children.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("all gone")
"""


def test_an_arbiter_that_waits_for_any_child_hears_of_each(journal: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ARBITER], capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"all gone\n", b"")
    dead = [one for one in recorded(journal) if isinstance(one, Exit)]
    assert sorted(one.code for one in dead) == [-signal.SIGKILL, 0, 4]
    assert all(one.worker for one in dead)
