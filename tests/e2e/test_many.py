"""Many workers, few descriptors, and a folder in which others come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.journal.format import MIN_SEGMENT_SIZE
from standfast.journal.identity import Identity
from standfast.store.tables import incident, request, worker
from tests.unit.watch.journals import House, dead, wait_until

DESCRIPTORS = 96
WORKERS = 120
_WATCH = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), int(sys.argv[3])))
from standfast.watch import Settings, watch
watch(sys.argv[1], sys.argv[2], settings=Settings(poll_s=0.05, sample_s=0.1))
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@contextmanager
def watching(house: House) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _WATCH, str(house.folder), house.url, str(DESCRIPTORS)]
    with subprocess.Popen(command, env=env) as watcher:
        try:
            yield watcher
        finally:
            watcher.kill()


def test_more_workers_than_descriptors_are_all_seen_to_die(house: House) -> None:
    boot, namespace = identity.boot_id(), identity.pid_namespace()
    workers = [subprocess.Popen(["sleep", "600"]) for _ in range(WORKERS)]
    try:
        for each in workers:
            ticks = identity.start_ticks(each.pid)
            who = Identity("shop", os.uname().nodename, each.pid, ticks, boot, namespace)
            journal = house.journal(who, segment_size=MIN_SEGMENT_SIZE)
            journal.begin("/in-flight")
            journal.writer.close()
        with watching(house) as watcher:
            wait_until(lambda: len(house.rows(request, outcome="open")) == WORKERS, 60)
            assert house.rows(incident) == [], "all of them live"
            for each in workers:
                each.kill()
                each.wait()
            wait_until(lambda: len(house.rows(incident)) == WORKERS, 60)
            assert watcher.poll() is None
    finally:
        for each in workers:
            each.kill()
            each.wait()
    assert len(house.rows(request, outcome="unfinished")) == WORKERS


def test_folders_and_files_by_the_thousand_that_come_and_go_hide_no_death(house: House) -> None:
    for number in range(500):
        (house.folder / f"app{number}").mkdir()
    busy = house.folder / "app7"
    stop = threading.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = busy / f"{number}-00000000.000001.journal"
            name.touch()
            name.unlink()
            (house.folder / f"new{number % 50}").mkdir(exist_ok=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with watching(house) as watcher:
            for pid in range(5000, 5080):
                journal = house.journal(dead(pid=pid), segment_size=MIN_SEGMENT_SIZE)
                journal.begin("/killer")
                journal.writer.close()
            wait_until(lambda: len(house.rows(incident)) == 80, 90)
            assert watcher.poll() is None
    finally:
        stop.set()
        thread.join()
    assert len(house.rows(worker)) == 80
