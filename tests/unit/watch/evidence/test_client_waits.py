"""Real threads on real sockets: who waits for a client, and who for somebody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.watch.evidence.client_waits import ClientWaits
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.sockets import Connections, waits_on_client
from standfast.watch.liveness import Process
from tests.unit.watch.journals import wait_until

START = "import select, socket, sys\n"
ACCEPT = START + (
    "server = socket.create_server(('127.0.0.1', 0))\n"
    "print(server.getsockname()[1], flush=True)\n"
    "client = server.accept()[0]\n"
)
BY_PATH = START + (
    "server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()\n"
    "print(0, flush=True)\n"
    "client = server.accept()[0]\n"
)
#: What the main thread of a worker does, and what that is.
WAITS = {
    "reads": (ACCEPT + "client.recv(10)", "body"),
    "reads with a time-out": (ACCEPT + "client.settimeout(600); client.recv(10)", "body"),
    "reads, behind a path": (BY_PATH + "client.recv(10)", "body"),
    "writes": (ACCEPT + "client.sendall(bytes(50_000_000))", "response"),
}
OTHERS = {
    "accepts": ACCEPT + "server.accept()",
    "sleeps": ACCEPT + "import time; time.sleep(600)",
    "waits for another service": ACCEPT
    + "other = socket.create_connection(('127.0.0.1', int(sys.argv[2]))); other.recv(10)",
    "waits for a pipe": ACCEPT + "import os; os.read(os.pipe()[0], 1)",
}


@contextmanager
def worker(code: str, place: Path) -> Iterator[Living]:
    """A process that has a client, and another service to speak to."""
    path = str(place / "socket")
    with socket.create_server(("127.0.0.1", 0)) as other:
        words = [sys.executable, "-c", code, path, str(other.getsockname()[1])]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline())
                kind = socket.AF_INET if port else socket.AF_UNIX
                with socket.socket(kind) as client:
                    client.connect(("127.0.0.1", port) if port else path)
                    ticks = identity.start_ticks(process.pid)
                    who = Process("web1", identity.boot_id(), 0, process.pid, ticks)
                    yield Living(1, who, process.pid)
            finally:
                process.kill()


def is_blocked(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return stat[0] == "S"


@pytest.mark.parametrize("name", WAITS)
def test_a_thread_that_waits_for_its_client_is_told(name: str, tmp_path: Path) -> None:
    code, part = WAITS[name]
    with worker(code, tmp_path) as one:
        wait_until(lambda: waits_on_client(one.pid, one.pid, Connections()) == part)


@pytest.mark.parametrize("name", OTHERS)
def test_a_thread_that_waits_for_something_else_is_not(name: str, tmp_path: Path) -> None:
    with worker(OTHERS[name], tmp_path) as one:
        wait_until(lambda: is_blocked(one.pid))
        for _ in range(5):
            time.sleep(0.02)
            assert waits_on_client(one.pid, one.pid, Connections()) is None


def test_a_worker_that_waited_for_a_client_until_its_end_is_told_with_how_long(
    tmp_path: Path,
) -> None:
    waits = ClientWaits()
    with worker(WAITS["reads"][0], tmp_path) as one:

        def facts() -> list[dict[str, object]]:
            waits.look([one])
            now_ns = time.time_ns()
            death = Death(1, one.process, one.pid, now_ns, now_ns)
            return [dict(fact.data) for fact in waits.facts(death)]

        wait_until(facts)
        (told,) = facts()
        assert told["part"] == "request"
        assert isinstance(told["waited_s"], float) and told["waited_s"] >= 1
        long_after = Death(1, one.process, one.pid, 0, time.time_ns() + 60_000_000_000)
        assert waits.facts(long_after) == []


def test_a_process_that_is_gone_waits_for_nobody() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert waits_on_client(gone.pid, gone.pid, Connections()) is None
    assert waits_on_client(os.getpid(), 2**22 + 1, Connections()) is None
