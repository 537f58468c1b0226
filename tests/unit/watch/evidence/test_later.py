"""What hangs is not waited for; what comes late is taken in."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from standfast.journal import identity
from standfast.watch.evidence import database, disks
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.later import Later
from standfast.watch.liveness import Process
from tests.unit.watch.journals import wait_until


def worker(number: int) -> Living:
    return Living(number, Process("web1", identity.boot_id(), 0, os.getpid(), number), os.getpid())


def test_a_call_that_does_not_come_back_is_not_waited_for_and_counts_when_it_does(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    later = Later(lambda: fifo.read_text())  # nobody has it open to write
    assert (later.result(0.01), later.is_done) == (None, False)
    fifo.write_text("at last")
    wait_until(lambda: later.is_done)
    assert later.result() == "at last"


def test_a_call_that_fails_gives_nothing(tmp_path: Path) -> None:
    later = Later((tmp_path / "none").read_text)
    assert later.result(60) is None
    assert later.is_done


def test_where_no_more_threads_may_be_made_a_call_gives_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    later = Later(lambda: 1)
    assert (later.is_done, later.result(60)) == (True, None)


def test_a_file_system_that_does_not_answer_holds_up_neither_watcher_nor_other_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    asked: list[Any] = []
    really = os.statvfs

    def statvfs(path: Any) -> os.statvfs_result:
        asked.append(path)
        if len(asked) == 1:
            answer.wait()
        return really(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    collector = disks.Disks()
    hung, sound = worker(1), worker(2)
    try:
        collector.look([hung])
        collector.look([hung, sound])
        wait_until(lambda: collector._looks[sound.process].is_done)
        assert not collector._looks[hung.process].is_done
        now = time.time_ns()
        assert collector.facts(Death(1, hung.process, 1, now, now)) == []
    finally:
        answer.set()


def test_a_database_is_looked_up_again_after_a_failure_and_after_a_failover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The resolver is away at first; then the name moves from a machine that is down."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found: list[Any] = []

        def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
            if not found:
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", found[0])]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(database, "LOOK_UP_S", 0.01)
        monkeypatch.setattr(database, "ASK_S", 0.01)
        probe = database.Database("mysql://db.shop.test/shop")

        def says(count: int) -> bool:
            now = time.time_ns()
            return len(probe.facts(Death(1, worker(1).process, 1, now, now))) == count

        for _ in range(5):
            assert says(0), "where it is was never known, so nothing is said"
            time.sleep(0.01)
        found[:] = [closed.getsockname()]
        wait_until(lambda: says(1))
        found[:] = [server.getsockname()]
        wait_until(lambda: says(0))
        found.clear()
        for _ in range(5):
            assert says(0), "the address that it had still answers"
            time.sleep(0.02)
        probe.close()
