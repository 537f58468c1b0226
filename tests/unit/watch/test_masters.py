"""What masters say of their workers reaches the store, whenever it is said."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from standfast.journal import identity
from standfast.journal.format import (
    ABORTED,
    OTHER,
    RELOAD,
    SCALE,
    SIGNAL,
    SIGNAL_FIXED,
    STOP,
    TIMEOUT,
    WORKER_EXIT,
)
from standfast.journal.identity import Identity
from standfast.store.tables import (
    evidence,
    incident,
    pending_exit,
    pending_signal,
    request,
    worker,
)
from tests.unit.watch.journals import SECOND, START_NS, House, Journal, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def a_worker() -> Identity:
    return living()._replace(pid=2**22 + 5, start_ticks=5)


def its_master(house: House) -> Journal:
    master = house.journal(living())
    master.request("/healthy")
    return master


def signalled(
    master: Journal, who: Identity, sig: int, reason: int, timeout_s: float = 0, after_s: int = 0
) -> None:
    wall_ns = START_NS + after_s * SECOND
    master.writer.signal(who.pid, who.start_ticks, sig, reason, int(timeout_s * 1e9), wall_ns)


def died(
    master: Journal, who: Identity, code: int, *, was_worker: bool = True, after_s: int = 2
) -> None:
    at_ns = START_NS + after_s * SECOND
    master.writer.exit(who.pid, who.start_ticks, code, at_ns, WORKER_EXIT * was_worker)


def facts(house: House, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    rows = house.rows(evidence, source="master")
    return [(row.kind, json.loads(row.data)) for row in rows if row.kind in kinds]


@pytest.mark.parametrize("said", ["before", "with", "after"])
def test_a_signal_is_a_fact_about_its_worker_whenever_it_is_said(house: House, said: str) -> None:
    who, master = a_worker(), its_master(house)
    if said == "before":
        signalled(master, who, signal.SIGABRT, TIMEOUT, 2.5)
        signalled(master, who, signal.SIGKILL, TIMEOUT, 2.5, after_s=1)
        house.drain()
        assert len(house.rows(pending_signal)) == 2
        house.restart()
    journal = house.journal(who)
    journal.begin("/slow")
    if said == "with":
        signalled(master, who, signal.SIGABRT, TIMEOUT, 2.5)
        signalled(master, who, signal.SIGKILL, TIMEOUT, 2.5, after_s=1)
    house.drain()
    if said == "after":
        signalled(master, who, signal.SIGABRT, TIMEOUT, 2.5)
        signalled(master, who, signal.SIGKILL, TIMEOUT, 2.5, after_s=1)
    house.drain()
    assert facts(house, "timeout", "master_signal") == [
        ("timeout", {"signal": "SIGABRT", "timeout_s": 2.5}),
        ("timeout", {"signal": "SIGKILL", "timeout_s": 2.5}),
    ]
    owners = {row.worker_id for row in house.rows(evidence, kind="timeout")}
    assert owners == {house.row(worker, pid=who.pid).id}
    assert house.rows(pending_signal) == []


@pytest.mark.parametrize(
    ("reason", "name"),
    [(STOP, "stop"), (RELOAD, "reload"), (SCALE, "scale"), (OTHER, "other"), (200, "other")],
)
def test_any_reason_but_a_time_out_is_told_apart_from_one(
    house: House, reason: int, name: str
) -> None:
    who, master = a_worker(), its_master(house)
    house.journal(who).request()
    signalled(master, who, signal.SIGTERM, reason)
    house.drain()
    assert facts(house, "timeout", "master_signal") == [
        ("master_signal", {"signal": "SIGTERM", "reason": name})
    ]


def test_a_signal_alone_is_no_incident(house: House) -> None:
    who, master = a_worker(), its_master(house)
    house.journal(who).request()
    signalled(master, who, signal.SIGTERM, STOP)
    died(master, who, 0)
    house.drain()
    assert house.rows(incident) == []


def test_a_request_torn_out_by_a_time_out_is_unfinished_however_long_the_worker_takes_to_end(
    house: House,
) -> None:
    who, master = a_worker(), its_master(house)
    journal = house.journal(who)
    signalled(master, who, signal.SIGABRT, TIMEOUT, 2.5)
    journal.request("/spin", 0, error=b"SystemExit: 1", flags=ABORTED, duration_s=3)
    journal.now_ns += 25 * SECOND
    journal.request("/bystander")
    died(master, who, 0, after_s=30)
    house.drain()
    kept = house.row(request, uri="/spin")
    assert (kept.outcome, kept.incident_id) == ("unfinished", house.row(incident).id)


@pytest.mark.parametrize("code", [1, 3, 4, -9, -11])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_worker_that_died_before_its_first_request_is_one_incident(
    house: House, code: int, restarted: bool
) -> None:
    who, master = a_worker(), its_master(house)
    signalled(master, who, signal.SIGABRT, TIMEOUT, 30)
    died(master, who, code)
    if restarted:
        # Killed as soon as the master's word is stored.
        house.watcher.intake.roster.look_around()
        house.watcher.intake.settle()
        house.watcher.intake.read(next(iter(house.watcher.intake.workers.values())))
        house.watcher.intake.store([])
        assert house.rows(incident) == []
        house.restart()
    for _ in range(3):
        house.drain()
    row = house.row(worker, pid=who.pid)
    told = house.row(incident)
    assert (told.worker_id, told.died_ns) == (row.id, START_NS + 2 * SECOND)
    assert row.uid == identity.worker_uid(who.host, who.boot_id, who.pid, who.start_ticks)
    ended = {"exit_code": code} if code > 0 else {"signal": signal.Signals(-code).name}
    ((_, data),) = facts(house, "start_failure")
    assert data.pop("age_s") > 0
    assert data == ended
    assert facts(house, "exit", "timeout") == [
        ("exit", ended),
        ("timeout", {"signal": "SIGABRT", "timeout_s": 30.0}),
    ]
    assert house.rows(pending_exit) == house.rows(pending_signal) == []


def test_a_master_that_dies_with_its_worker_is_heard(house: House) -> None:
    who = dead()._replace(boot_id="an-earlier-boot")
    master = house.journal(who._replace(pid=1000, start_ticks=10))
    died(master, who, 3)
    house.drain()
    told = house.row(incident)
    assert house.row(worker, id=told.worker_id).pid == who.pid
    # Of an earlier boot: nobody can tell how long it lived.
    assert facts(house, "start_failure") == [("start_failure", {"exit_code": 3})]
    assert house.rows(pending_exit) == []


@pytest.mark.parametrize("code", [0, -15, -1])
def test_an_orderly_end_before_the_first_request_is_none(house: House, code: int) -> None:
    who, master = a_worker(), its_master(house)
    died(master, who, code)
    house.drain()
    house.drain()
    assert house.rows(incident) == []
    assert house.rows(worker, pid=who.pid) == []


def test_a_child_that_was_no_worker_is_none(house: House) -> None:
    who, master = a_worker(), its_master(house)
    died(master, who, 1, was_worker=False)
    house.drain()
    house.drain()
    assert house.rows(incident) == []


def test_a_worker_whose_journal_is_found_in_time_is_no_start_failure(house: House) -> None:
    who, master = a_worker(), its_master(house)
    house.watcher.intake.roster.look_around()
    # Its journal is made after the folder was looked through, and before the master is read.
    journal = house.journal(who)
    journal.begin("/killer")
    died(master, who, -9)
    looked = house.watcher.intake.roster.look_around
    calls = iter([lambda: False])
    house.watcher.intake.roster.look_around = lambda: next(calls, looked)()  # type: ignore[method-assign]
    house.drain()
    assert facts(house, "start_failure") == []
    assert house.row(incident).worker_id == house.row(worker, pid=who.pid).id


def test_what_two_masters_say_of_one_child_makes_one_worker(house: House) -> None:
    who = a_worker()
    one, other = its_master(house), house.journal(living()._replace(pid=1000, start_ticks=10))
    died(one, who, 3)
    died(other, who, 4)
    house.drain()
    house.drain()
    assert len(house.rows(worker, pid=who.pid)) == 1
    assert len(house.rows(incident)) == 1


def test_what_a_master_of_another_folder_said_is_left_to_its_own_watcher(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    neighbour = House(tmp_path / "elsewhere")
    neighbour.engine, neighbour.watcher = house.engine, house.watcher
    neighbour.watcher = neighbour.new_watcher()
    who, master = a_worker(), its_master(house)
    died(master, who, 3)
    house.watcher.intake.round()
    assert len(house.rows(pending_exit)) == 1
    neighbour.drain()
    assert house.rows(incident) == []
    house.drain()
    assert len(house.rows(incident)) == 1


def test_a_server_that_starts_its_workers_again_and_again_does_not_flood_the_store(
    house: House,
) -> None:
    master = its_master(house)
    for number in range(250):
        who = a_worker()._replace(pid=2**22 + number)
        signalled(master, who, signal.SIGTERM, OTHER)
        master.writer.exit(
            who.pid, who.start_ticks, 1, START_NS + number * SECOND // 4, WORKER_EXIT
        )
    house.drain()
    house.drain()
    assert len(house.rows(incident)) == 100
    assert house.rows(pending_exit) == house.rows(pending_signal) == []
    master.writer.exit(7, 7, 1, START_NS + 3700 * SECOND, WORKER_EXIT)
    house.drain()
    house.drain()
    assert len(house.rows(incident)) == 101


def test_hostile_numbers_in_a_masters_word_fit_their_columns(house: House) -> None:
    master = house.journal(dead())
    for wall_ns in (-(2**63), 0, 2**63 - 1):
        for most in (0, 2**63 - 1, 2**64 - 1):
            master.append(SIGNAL, SIGNAL_FIXED.pack(wall_ns, most, 2**32 - 1, 255, 255, most))
            master.writer.exit(2**32 - 1, most, -(2**31), wall_ns, WORKER_EXIT)
            master.writer.exit(os.getpid(), most, 2**31 - 1, wall_ns, WORKER_EXIT)
    master.append(SIGNAL, b"")
    house.drain()
    assert house.watcher.ignored == 16
    assert house.rows(pending_exit) == house.rows(pending_signal) == []


@pytest.mark.parametrize(("code", "incidents"), [(3, 0), (-9, 1)])
def test_a_master_that_ends_by_itself_is_no_worker_that_died(
    house: House, code: int, incidents: int
) -> None:
    """Its workers' ends are told; that somebody killed it is told of itself."""
    who = dead(pid=4243)
    parent = house.journal(dead(pid=1000, start_ticks=10))
    master = house.journal(dead())
    died(parent, dead(), code, was_worker=False)
    died(master, who, 3)
    house.journal(who).begin("/killer")
    house.drain()
    house.drain()
    master_row, worker_row = house.row(worker, pid=4242), house.row(worker, pid=4243)
    assert (master_row.master, worker_row.master) == (True, False)
    assert len(house.rows(incident, worker_id=master_row.id)) == incidents
    assert len(house.rows(incident, worker_id=worker_row.id)) == 1


def test_no_word_of_a_master_is_too_strange_to_be_stored(house: House) -> None:
    who = dead()
    journal = house.journal(who)
    for reason in range(256):
        for sig in (0, 9, 64, 255):
            for pid in (who.pid, 1):
                fixed = SIGNAL_FIXED.pack(START_NS, who.start_ticks, pid, sig, reason, reason)
                journal.append(SIGNAL, fixed)
    journal.begin("/killer")
    house.drain()
    assert house.row(incident).worker_id == house.row(worker).id
    assert not house.row(worker).master
    assert [words for words in house.warnings if "cannot be stored" in words] == []
