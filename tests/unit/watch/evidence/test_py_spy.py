"""py-spy on real processes: it reads them, as their owner, and leaves them alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standfast.watch.evidence import py_spy
from standfast.watch.evidence.threads import Thread, parse

NOBODY = 65534
CODE = "import time\ndef stand_here():\n    print(flush=True)\n    time.sleep(600)\nstand_here()"
#: A Python that every user can start.
PYTHON = "/usr/bin/python3"


def started(python: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process that has come to where it stands."""
    child = subprocess.Popen([python, "-I", "-S", "-c", CODE], stdout=subprocess.PIPE, **options)
    assert child.stdout is not None
    assert child.stdout.readline() == b"\n"
    return child


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = started(sys.executable)
    yield child
    child.kill()
    child.communicate()


def read(pid: int) -> list[Thread]:
    """The stacks of a process; non-blocking reads may have to be made again."""
    program = py_spy.program()
    assert program is not None
    for _ in range(10):
        dump = py_spy.Dump(program, pid)
        while not dump.is_done:
            time.sleep(0.01)
        if found := parse(dump.end()):
            return found
    return []


def test_the_stack_of_a_process_is_read(sleeper: subprocess.Popen[bytes]) -> None:
    (thread,) = read(sleeper.pid)
    assert [frame.function for frame in thread.frames] == ["stand_here", "<module>"]
    assert thread.tid == sleeper.pid


def test_a_process_that_is_gone_or_is_no_python_says_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    other = subprocess.Popen(["sleep", "600"])
    try:
        assert read(gone.pid) == read(other.pid) == []
    finally:
        other.kill()
        other.wait()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may act as another user")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason="no Python that every user can start")
def test_root_reads_the_stacks_of_another_user_as_that_user() -> None:
    program = py_spy.program()
    assert program is not None
    child = started(PYTHON, user=NOBODY, group=NOBODY, extra_groups=[])
    try:
        dump = py_spy.Dump(program, child.pid)
        status = Path(f"/proc/{dump._process.pid}/status").read_text().splitlines()
        dump.end()
        for kind in ("Uid", "Gid"):
            (ids,) = [line.split()[1:] for line in status if line.startswith(f"{kind}:")]
            assert set(ids) == {str(NOBODY)}
        (thread,) = read(child.pid)
        assert thread.frames[0].function == "stand_here"
    finally:
        child.kill()
        child.communicate()


def test_this_user_may_read_stacks_or_is_told_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert py_spy.why_not() == ""
    monkeypatch.setattr(py_spy, "program", lambda: None)
    assert py_spy.why_not() == "py-spy is not installed"
