"""What the platform looked like: only what is worth a word is said, and nothing ever raises."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.store import evidence
from standfast.watch.evidence import cgroups
from standfast.watch.evidence.collector import Collector, Death, Living
from standfast.watch.evidence.database import Database
from standfast.watch.evidence.disks import Disks
from standfast.watch.evidence.host import Host
from standfast.watch.evidence.limits import Limits
from standfast.watch.evidence.oom_counter import OomCounters
from standfast.watch.liveness import Process


def worker(pid: int) -> Living:
    who = identity.of_this_process("shop")
    process = Process(who.host, who.boot_id, 0, pid, identity.start_ticks(pid))
    return Living(1, process, pid)


def death(of: Living) -> Death:
    now = time.time_ns()
    return Death(of.worker_id, of.process, of.pid, now, now)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process with eight files more than three open, of at most sixteen."""
    program = "import os, time; [os.dup(0) for _ in range(int(input()))]; print(flush=True); "
    program += "time.sleep(60)"
    words = ["sh", "-c", 'ulimit -n 16; exec "$@"', "sh", sys.executable, "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def open_files(process: subprocess.Popen[bytes], count: int) -> Living:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"%d\n" % count)
    process.stdin.flush()
    process.stdout.readline()
    return worker(process.pid)


@pytest.mark.parametrize("collector", [Host(), Disks(), Limits(), OomCounters()])
def test_a_process_in_good_health_has_nothing_worth_a_word(collector: Collector) -> None:
    here = worker(os.getpid())
    collector.look([here])
    found = {fact.kind for fact in collector.facts(death(here))}
    assert found <= {evidence.HOST_MEMORY, evidence.LOAD}
    collector.forget(death(here))
    collector.close()


@pytest.mark.parametrize("collector", [Host(), Disks(), Limits(), OomCounters()])
def test_a_process_that_is_gone_before_it_was_looked_at_does_no_harm(
    collector: Collector,
) -> None:
    gone = Living(2, Process("web1", identity.boot_id(), 0, 2**22 + 1, 1), 2**22 + 1)
    collector.look([gone])
    assert {fact.kind for fact in collector.facts(death(gone))} <= {
        evidence.HOST_MEMORY, evidence.LOAD,
    }  # fmt: skip


def test_a_worker_that_has_all_its_files_open_is_told(sleeper: subprocess.Popen[bytes]) -> None:
    limits = Limits()
    of = open_files(sleeper, 13)
    limits.look([of])
    (fact,) = limits.facts(death(of))
    assert fact.kind == evidence.NO_FILES
    assert fact.data == {"open": 16, "limit": 16, "scope": "process"}
    assert fact.text == f"process {of.pid} had 16 of 16 files open"


def test_a_worker_with_files_to_spare_is_not(sleeper: subprocess.Popen[bytes]) -> None:
    limits = Limits()
    of = open_files(sleeper, 8)
    limits.look([of])
    assert limits.facts(death(of)) == []


def test_the_memory_of_the_host_is_that_just_before_the_death() -> None:
    host = Host()
    host.look([])
    of = worker(os.getpid())
    (fact, *_) = host.facts(death(of))
    assert fact.kind == evidence.HOST_MEMORY
    assert 0 < fact.data["available_bytes"] <= fact.data["total_bytes"]
    long_after = death(of)._replace(died_ns=time.time_ns() + 60_000_000_000)
    assert host.facts(long_after) == []


def test_a_death_of_an_earlier_boot_tells_of_the_restart() -> None:
    of = worker(os.getpid())
    earlier = of._replace(process=of.process._replace(boot_id="an-earlier-boot"))
    (fact,) = Host().facts(death(earlier))
    assert fact.kind == evidence.HOST_RESTART
    assert fact.data["old_boot_id"] == "an-earlier-boot"
    assert 0 < fact.data["booted_ns"] < time.time_ns()


def test_a_database_that_goes_away_is_told_and_one_that_is_back_is_not() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    database = Database(f"mysql://shop:hunter2@127.0.0.1:{port}/shop")
    of = worker(os.getpid())

    def asked() -> list[evidence.Fact]:
        for _ in range(60):
            database.look([])
            time.sleep(0.05)
        return database.facts(death(of))

    assert asked() == []
    server.close()
    (fact,) = asked()
    assert fact.kind == evidence.DATABASE_DOWN
    assert fact.data["address"] == f"127.0.0.1:{port}"
    assert fact.data["error"] in ("Connection refused", "Connection reset by peer")
    assert "hunter2" not in fact.text
    with socket.create_server(("127.0.0.1", port)):
        assert asked() == []
    database.close()


@pytest.mark.parametrize("address", ["nonsense", "mysql://", "tcp://127.0.0.1", "x://host"])
def test_an_address_that_leads_nowhere_is_never_asked(address: str) -> None:
    database = Database(address)
    database.look([])
    assert database.facts(death(worker(os.getpid()))) == []


def test_numbers_are_found_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "memory.events"
    file.write_text("low 0\noom 3\noom_kill 2\n")
    assert cgroups.number_in(file, "oom_kill") == 2
    assert cgroups.number_in(file, "oom_group_kill") is None
    file.write_text("max\n")
    assert cgroups.number_in(file) is None
    file.write_text("1048576\n")
    assert cgroups.number_in(file) == 1048576
    assert cgroups.number_in(tmp_path / "none") is None
    assert cgroups.group_of(2**22 + 1, "memory") is None
