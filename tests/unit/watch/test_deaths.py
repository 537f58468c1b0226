from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from standfast.journal.format import ABORTED, RUNNING
from standfast.journal.identity import Identity
from standfast.store.tables import incident, ordinary_request, pending_exit, request, rollup, worker
from standfast.watch import deaths, intake
from standfast.watch.facts import signal_name
from tests.unit.watch.journals import SECOND, START_NS, House, Journal, dead, living

FAULT = "Fatal Python error: Segmentation fault\n\nThread 0x00007f0000001000:\n  File x\n"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def master_of(who: Identity, *, alive: bool = False) -> Identity:
    """The pre-forking master of a worker: the same host, boot and pid namespace."""
    pid, ticks = (os.getpid(), living().start_ticks) if alive else (1000, 10)
    return who._replace(pid=pid, start_ticks=ticks)


def died(master: Journal, who: Identity, code: int, wall_ns: int = START_NS + SECOND) -> None:
    master.writer.exit(who.pid, who.start_ticks, code, wall_ns)


def test_what_a_dead_worker_had_open_is_an_incident(house: House) -> None:
    journal = house.journal(dead())
    journal.request("/fine", duration_s=0.001)
    for uri in ("/one", "/two"):
        journal.begin(uri)
    house.drain()
    told = house.row(incident)
    assert {row.uri: (row.outcome, row.incident_id) for row in house.rows(request)} == {
        "/one": ("unfinished", told.id),
        "/two": ("unfinished", told.id),
    }
    row = house.row(worker)
    assert told.worker_id == row.id
    # Nobody saw it die: the last moment of its journal has to do.
    assert told.died_ns == row.died_ns == journal.now_ns
    assert (row.signal, row.exit_code, row.fault) == (None, None, None)


def test_a_worker_that_ended_with_nothing_open_is_no_incident(house: House) -> None:
    house.journal(dead()).request()
    house.drain()
    assert house.rows(incident) == []
    assert house.row(worker).died_ns is not None


ENDS = [
    (-11, "SIGSEGV", None, True),
    (-9, "SIGKILL", None, True),
    (-6, "SIGABRT", None, True),
    (-15, "SIGTERM", None, False),
    (-2, "SIGINT", None, False),
    (-3, "SIGQUIT", None, False),
    (-1, "SIGHUP", None, False),
    (-10, "SIGUSR1", None, False),
    (0, None, 0, False),
    (1, None, 1, True),
    (-40, "SIG40", None, True),
]


@pytest.mark.parametrize(("code", "name", "exit_code", "bad"), ENDS)
@pytest.mark.parametrize("said", ["before", "with", "after", "long after"])
def test_how_it_ended_decides_whenever_the_master_says_so(
    house: House, code: int, name: str | None, exit_code: int | None, bad: bool, said: str
) -> None:
    who = dead()
    master = house.journal(master_of(who))
    if said == "before":
        died(master, who, code)
        house.watcher.intake.roster.see_who_lives = lambda: None  # type: ignore[method-assign]
        house.drain()
        assert len(house.rows(pending_exit)) == 1
        house.restart()
    journal = house.journal(who)
    journal.request()
    if said == "with":
        died(master, who, code)
    if "after" in said:
        house.watcher.intake.roster.see_who_lives = lambda: None  # type: ignore[method-assign]
        house.drain()
        if said == "long after":
            house.restart()
            house.drain()
        died(master, who, code)
    house.restart()
    house.drain()
    row = house.row(worker, pid=who.pid)
    assert (row.signal, row.exit_code, row.died_ns) == (name, exit_code, START_NS + SECOND)
    assert [told.died_ns for told in house.rows(incident)] == [START_NS + SECOND] * bad
    assert house.rows(pending_exit) == []


@pytest.mark.parametrize("code", [-9, 0])
def test_a_late_word_of_the_master_sets_the_incident_right(house: House, code: int) -> None:
    who = living()._replace(pid=2**22 + 5, start_ticks=5)
    master = house.journal(master_of(who, alive=True))
    master.request("/healthy")
    journal = house.journal(who)
    seq = journal.begin("/killer")
    house.drain()
    assert house.row(incident).died_ns == journal.now_ns
    died(master, who, code, journal.now_ns + 5)
    house.drain()
    told = house.row(incident)
    row = house.row(worker, pid=who.pid)
    assert told.died_ns == row.died_ns == journal.now_ns + 5
    assert row.signal == (None if code == 0 else "SIGKILL")
    kept = house.row(request)
    assert (kept.seq, kept.outcome, kept.incident_id) == (seq, "unfinished", told.id)


def test_a_late_signal_makes_the_incident_that_was_not_there(house: House) -> None:
    who = living()._replace(pid=2**22 + 5, start_ticks=5)
    master = house.journal(master_of(who, alive=True))
    master.request("/healthy")
    house.journal(who).request()
    house.drain()
    assert house.rows(incident) == []
    died(master, who, -11)
    house.drain()
    assert house.row(incident).worker_id == house.row(worker, pid=who.pid).id


@pytest.mark.parametrize(
    "other",
    [
        {"start_ticks": 78},
        {"pid": 4243},
        {"boot_id": "yet-another-boot"},
        {"host": "elsewhere"},
        {"pid_namespace": 7},
        {"app": "blog"},
    ],
)
def test_a_masters_word_about_another_process_changes_nothing(
    house: House, other: dict[str, object]
) -> None:
    who = dead()
    master = house.journal(master_of(who)._replace(**other))  # type: ignore[arg-type]
    about = who._replace(**{k: v for k, v in other.items() if k in ("pid", "start_ticks")})  # type: ignore[arg-type]
    died(master, about, -11)
    house.journal(who).request()
    house.drain()
    row = house.row(worker, pid=who.pid, start_ticks=who.start_ticks)
    assert (row.signal, row.exit_code) == (None, None)
    assert house.rows(incident) == []


def test_what_a_dead_master_said_of_unknown_children_is_dropped(house: House) -> None:
    master = house.journal(master_of(dead()))
    for pid in range(20, 30):
        master.writer.exit(pid, 5, -9, START_NS)
    house.drain()
    assert house.rows(pending_exit) == []
    assert house.rows(incident) == []


def test_a_fatal_traceback_tells_signal_and_time(house: House) -> None:
    journal = house.journal(dead())
    journal.begin("/segfault")
    fault = journal.app_folder / f"{journal.uid}.fault"
    fault.write_text(FAULT)
    os.utime(fault, ns=(START_NS + 7 * SECOND, START_NS + 7 * SECOND))
    house.drain()
    row = house.row(worker)
    assert (row.signal, row.fault, row.died_ns) == ("SIGSEGV", FAULT, START_NS + 7 * SECOND)
    assert house.row(incident).died_ns == START_NS + 7 * SECOND
    assert journal.files() == []


def test_a_fatal_traceback_alone_makes_an_incident(house: House) -> None:
    journal = house.journal(dead())
    journal.request()
    (journal.app_folder / f"{journal.uid}.fault").write_text(FAULT)
    house.drain()
    assert house.row(incident).worker_id == house.row(worker).id


def test_the_masters_word_goes_before_the_traceback(house: House) -> None:
    who = dead()
    journal, master = house.journal(who), house.journal(master_of(who))
    journal.begin("/abort")
    (journal.app_folder / f"{journal.uid}.fault").write_text(FAULT)
    died(master, who, -6)
    house.drain()
    row = house.row(worker, pid=who.pid)
    assert (row.signal, row.died_ns, row.fault) == ("SIGABRT", START_NS + SECOND, FAULT)


@pytest.mark.parametrize(
    "content", [b"", b"\0\xff\x1b[31m", b"Timeout (0:00:05)!\n", b"x" * 200_000]
)
def test_whatever_a_fault_file_holds_is_bounded_and_claims_nothing(
    house: House, content: bytes
) -> None:
    journal = house.journal(dead())
    journal.request()
    (journal.app_folder / f"{journal.uid}.fault").write_bytes(content)
    house.drain()
    row = house.row(worker)
    assert (row.signal, row.died_ns) == (None, row.last_seen_ns)
    assert "\0" not in (row.fault or "")
    assert len(row.fault or "") <= 65536
    assert (row.fault is None) == (content == b"")
    assert house.rows(incident) == []
    assert journal.files() == []


def test_a_request_torn_out_by_the_death_of_its_worker_is_unfinished(house: House) -> None:
    journal = house.journal(dead())
    journal.request("/export", 0, error=b"SystemExit: 1", flags=ABORTED, duration_s=30)
    house.drain()
    kept = house.row(request)
    assert (kept.outcome, kept.error, kept.aborted) == ("unfinished", "SystemExit: 1", True)
    assert kept.incident_id == house.row(incident).id
    assert house.rows(rollup) == []


def test_a_request_torn_out_long_before_the_death_has_failed(house: House) -> None:
    journal = house.journal(dead())
    journal.request("/export", 0, error=b"SystemExit: 1", flags=ABORTED)
    journal.now_ns += 11 * SECOND
    journal.request("/later")
    house.drain()
    assert (house.row(request).outcome, house.row(request).incident_id) == ("failed", None)
    assert house.rows(incident) == []
    assert sum(row.failed for row in house.rows(rollup)) == 1


def test_background_work_that_died_is_unfinished_with_its_response_complete(house: House) -> None:
    journal = house.journal(dead())
    journal.request("/mail", 202, flags=RUNNING, duration_s=0.5)
    house.drain()
    kept = house.row(request)
    assert (kept.outcome, kept.status, kept.duration_ns) == ("unfinished", 202, SECOND // 2)
    assert house.rows(ordinary_request) == []


def test_burying_twice_changes_nothing(house: House) -> None:
    journal = house.journal(dead())
    journal.begin("/killer")
    names = journal.files()
    copies = {name: (journal.app_folder / name).read_bytes() for name in names}
    house.drain()
    before = [house.rows(table) for table in (worker, incident, request)]
    # A watcher that was killed between the commit and the deletion leaves the files behind.
    for name, data in copies.items():
        (journal.app_folder / name).write_bytes(data)
    house.restart()
    house.drain()
    assert [house.rows(table) for table in (worker, incident, request)] == before
    assert journal.files() == []


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_watcher_killed_before_it_concludes_a_death_leaves_it_to_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = house.journal(dead())
    journal.begin("/killer")
    monkeypatch.setattr(intake, "BATCH_RECORDS", 0)
    with monkeypatch.context() as patched:
        patched.setattr(deaths, "bury", killed)
        with pytest.raises(KeyboardInterrupt):
            house.drain()
    assert house.row(request).outcome == "open"
    assert house.row(worker).read_segment == 2, "all of it was stored"
    house.restart()
    house.drain()
    assert house.row(request).incident_id == house.row(incident).id
    assert journal.files() == []


def test_signals_have_their_names() -> None:
    assert signal_name(signal.SIGSEGV) == "SIGSEGV"
    assert signal_name(64) in ("SIGRTMAX", "SIG64")
    assert signal_name(2**31) == f"SIG{2**31}"
