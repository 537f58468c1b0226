"""The kernel tells how processes end, also those that nobody had time to look at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from standfast.watch.evidence.collector import Death
from standfast.watch.evidence.process_events import ProcessEvents
from standfast.watch.liveness import Process

SECOND = 1_000_000_000
pytestmark = pytest.mark.skipif(
    ProcessEvents()._socket is None,
    reason="the kernel does not tell of its process events here",
)


@pytest.fixture
def events() -> Iterator[ProcessEvents]:
    listening = ProcessEvents()
    yield listening
    listening.close()


def ended(code: str) -> tuple[Death, int]:
    """The death of a process that ran ``code``, as one who came too late knows it."""
    before = time.time_ns()
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        status = process.wait()
    after = time.time_ns()
    who = Process("host", "boot", 0, process.pid, 5)
    return Death(1, who, process.pid, before, after), status


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("import os; os._exit(7)", {"exit_code": 7}),
        ("pass", {"exit_code": 0}),
        ("import os; os.kill(os.getpid(), 9)", {"signal": "SIGKILL"}),
        ("import os; os.abort()", {"signal": "SIGABRT"}),
        (
            "import threading, os; t = threading.Thread(target=str); t.start(); t.join()\n"
            "os._exit(5)",
            {"exit_code": 5},
        ),
    ],
)
def test_the_end_of_a_process_of_which_nothing_else_is_known_is_told(
    events: ProcessEvents, code: str, data: dict[str, object]
) -> None:
    death, _ = ended(code)
    (fact,) = events.facts(death)
    assert (fact.kind, fact.source, fact.data) == ("exit", "process events", data)
    assert death.alive_ns <= fact.at_ns <= death.died_ns
    assert events.facts(death) == [fact], "the same fact when asked again"


def test_another_process_of_that_number_says_nothing(events: ProcessEvents) -> None:
    death, _ = ended("pass")
    for other in (
        death._replace(pid=death.process.pid + 1),
        death._replace(pid=None),
        death._replace(alive_ns=death.died_ns + 60 * SECOND, died_ns=death.died_ns + 61 * SECOND),
        death._replace(alive_ns=death.alive_ns - 60 * SECOND, died_ns=death.alive_ns - 59 * SECOND),
    ):
        assert events.facts(other) == []


def test_the_end_of_a_thread_is_none(events: ProcessEvents) -> None:
    thread = threading.Thread(target=str)
    now = time.time_ns()
    thread.start()
    thread.join()
    mine = Death(1, Process("host", "boot", 0, os.getpid(), 5), os.getpid(), now, now + SECOND)
    assert events.facts(mine) == []


def test_a_flood_of_ends_does_no_harm(events: ProcessEvents) -> None:
    assert events._socket is not None
    room = events._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # for a few
    for _ in range(100):
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
    events.look(())
    # Other processes of the host end meanwhile: with so little room one of them could be the last.
    events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room // 2)
    death, _ = ended("import os; os._exit(3)")
    assert [fact.data for fact in events.facts(death)] == [{"exit_code": 3}]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make a pid namespace")
def test_in_a_container_it_says_nothing() -> None:
    code = (
        "from standfast.watch.evidence.process_events import ProcessEvents\n"
        "events = ProcessEvents()\n"
        "print(events._socket)\n"
        "events.look(())\n"
        "events.close()\n"
    )
    container = ["unshare", "--pid", "--fork", sys.executable, "-c", code]
    done = subprocess.run(container, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"None\n", b"")


def test_listening_ends_with_the_collector() -> None:
    events = ProcessEvents()
    events.close()
    events.close()
    assert events.facts(Death(1, Process("h", "b", 0, 1, 1), 1, 0, 1)) == []
