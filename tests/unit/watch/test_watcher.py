from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.journal.format import (
    ABORTED,
    BEGIN,
    BEGIN_FIXED,
    CANCELLED,
    CUT,
    END,
    END_FIXED,
    EXIT,
    LOGGED,
    LOST_OFFSET,
    MIN_SEGMENT_SIZE,
    RUNNING,
    unpack_header,
)
from standfast.journal.identity import Identity
from standfast.store import Sketch
from standfast.store.tables import (
    application,
    incident,
    logged_error,
    ordinary_request,
    request,
    rollup,
    route,
    texts_of,
    worker,
)
from standfast.watch import Settings, logged
from tests.unit.watch.journals import SECOND, START_NS, House, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_worker_gets_the_row_that_its_header_tells(house: House) -> None:
    house.journal().request()
    house.drain()
    row, who = house.row(worker), living()
    assert (row.host, row.pid, row.start_ticks, row.boot_id, row.pid_namespace) == (
        who.host,
        who.pid,
        who.start_ticks,
        who.boot_id,
        who.pid_namespace,
    )
    assert (row.server, row.revision, row.lost, row.died_ns) == ("gunicorn/23.0", "abc123", 0, None)
    assert house.row(application).name == "shop"


def test_an_ordinary_request_leaves_a_raw_row_and_its_share_of_the_rollup(house: House) -> None:
    journal = house.journal()
    for number in (1, 2, 3):
        journal.request(f"/order/{number}?x=1", cpu_ns=1000, sent=10, duration_s=0.01 * number)
    house.drain()
    assert house.rows(request) == []
    raw = house.rows(ordinary_request)
    assert [(row.seq, row.status, row.duration_ns) for row in raw] == [
        (1, 200, 10_000_000),
        (2, 200, 20_000_000),
        (3, 200, 30_000_000),
    ]
    assert texts_of(raw[0].raw)[:3] == ["192.0.2.1", "GET", "/order/1?x=1"]
    assert raw[0].begun_ns == START_NS + SECOND // 1000
    share = house.row(rollup)
    assert house.row(route, id=share.route_id).template == "/order/{int}"
    assert share.minute == START_NS // SECOND // 60
    assert (share.count, share.failed, share.slow) == (3, 0, 0)
    assert (share.duration_ns, share.cpu_ns, share.sent) == (60_000_000, 3000, 30)
    median = Sketch.from_bytes(share.sketch).quantile(0.5)
    assert median == pytest.approx(20_000_000, rel=0.02)


def test_rollups_of_several_batches_add_up(house: House) -> None:
    journal = house.journal()
    for _ in range(3):
        journal.request("/a", cpu_ns=5, sent=7)
        journal.request("/a", 500)
        house.drain()
        house.restart()
    share = house.row(rollup)
    assert (share.count, share.failed, share.cpu_ns, share.sent) == (6, 3, 15, 21)
    assert Sketch.from_bytes(share.sketch).count == 6


def test_a_cost_that_nobody_measured_stays_unknown(house: House) -> None:
    house.journal().request()
    house.drain()
    assert house.row(rollup).cpu_ns is None
    assert house.row(rollup).sent == 0


@pytest.mark.parametrize(
    ("status", "options", "outcome"),
    [
        (500, {}, "failed"),
        (503, {"duration_s": 9}, "failed"),
        (200, {"error": b"Traceback: boom"}, "failed"),
        (0, {"error": b"Traceback: boom"}, "failed"),
        (200, {"duration_s": 1.0}, "slow"),
        (404, {"duration_s": 3}, "slow"),
        (200, {"duration_s": 3, "flags": CANCELLED}, "slow"),
        (200, {"duration_s": 3, "error": b"CancelledError", "flags": CANCELLED}, "slow"),
    ],
)
def test_what_failed_or_was_slow_is_kept_whole_and_counted(
    house: House, status: int, options: dict[str, object], outcome: str
) -> None:
    journal = house.journal()
    seq = journal.request("/pay/7?card=1", status, **options)
    house.drain()
    row = house.row(request)
    assert row.outcome == outcome
    assert (row.seq, row.status) == (seq, status or None)
    assert (row.method, row.uri, row.client) == ("GET", "/pay/7?card=1", "192.0.2.1")
    assert (row.host, row.forwarded_for, row.user_agent) == ("shop.test", "198.51.100.7", "curl/8")
    assert (row.kind, row.thread, row.incident_id) == ("http", 0x7F0000001000, None)
    assert row.error == (options["error"].decode() if "error" in options else None)  # type: ignore[attr-defined]
    share = house.row(rollup)
    assert (share.count, share.failed, share.slow) == (1, outcome == "failed", outcome == "slow")
    assert house.rows(ordinary_request) == []


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (404, {}),
        (0, {}),
        (200, {"duration_s": 0.999}),
        (500, {"flags": CANCELLED}),
        (0, {"flags": CANCELLED, "error": b"CancelledError"}),
    ],
)
def test_what_neither_failed_nor_was_slow_is_ordinary(
    house: House, status: int, options: dict[str, object]
) -> None:
    house.journal().request("/a", status, **options)
    house.drain()
    assert house.rows(request) == []
    assert house.row(ordinary_request).status == (status or None)


def test_slowness_is_a_matter_of_the_application(tmp_path: Path) -> None:
    house = House(tmp_path, Settings(slow_s=0.5, slow_s_by_app={"batch": 60}))
    for app in ("shop", "batch"):
        house.journal(living(app)).request(duration_s=2)
    house.drain()
    row = house.row(request)
    assert house.row(application, id=row.application_id).name == "shop"


def test_a_websocket_is_never_slow_and_has_a_route_of_its_own(house: House) -> None:
    journal = house.journal()
    journal.end(journal.websocket(), duration_s=3600)
    journal.request("/chat")
    house.drain()
    assert house.rows(request) == []
    assert [row.kind for row in house.rows(route)] == ["websocket", "http"]
    assert len(house.rows(ordinary_request)) == 2


def test_what_was_cut_says_so(house: House) -> None:
    journal = house.journal()
    journal.end(journal.begin(flags=CUT), 500)
    journal.request("/", 500, flags=CUT, error=b"x")
    journal.request("/", 500)
    house.drain()
    assert [row.cut for row in house.rows(request)] == [True, True, False]


def test_an_open_request_is_kept_at_once_and_closed_later(house: House) -> None:
    journal = house.journal()
    seqs = [journal.begin(f"/{name}") for name in ("ordinary", "slow", "failed", "open")]
    house.drain()
    assert [row.outcome for row in house.rows(request)] == ["open"] * 4
    assert house.rows(rollup) == []
    house.restart()
    journal.end(seqs[0])
    journal.end(seqs[1], duration_s=5)
    journal.end(seqs[2], error=b"boom")
    house.drain()
    rows = {row.uri: row for row in house.rows(request)}
    assert {uri: row.outcome for uri, row in rows.items()} == {
        "/slow": "slow",
        "/failed": "failed",
        "/open": "open",
    }
    assert rows["/slow"].duration_ns == 5 * SECOND
    assert rows["/failed"].error == "boom"
    assert texts_of(house.row(ordinary_request).raw)[2] == "/ordinary"
    assert sum(row.count for row in house.rows(rollup)) == 3


@pytest.mark.parametrize("drains", ["", "a", "b", "ab"])
def test_background_work_is_no_part_of_the_duration(house: House, drains: str) -> None:
    journal = house.journal()
    seq = journal.begin("/mail")
    if "a" in drains:
        house.drain()
    journal.end(seq, 202, duration_s=0.1, flags=RUNNING)
    if "b" in drains:
        house.drain()
        row = house.row(request)
        assert (row.outcome, row.duration_ns, row.aborted) == ("open", SECOND // 10, False)
    journal.end(seq, 202, duration_s=0.1, background_s=29.9)
    house.drain()
    assert house.rows(request) == []
    assert house.row(ordinary_request).duration_ns == SECOND // 10
    assert house.row(rollup).slow == 0


def test_an_error_in_the_background_fails_the_request(house: House) -> None:
    journal = house.journal()
    seq = journal.begin("/mail")
    journal.end(seq, 202, duration_s=0.1, flags=RUNNING)
    house.drain()
    journal.end(seq, 202, duration_s=0.1, background_s=29.9, error=b"SMTP")
    house.drain()
    row = house.row(request)
    assert (row.outcome, row.error, row.status) == ("failed", "SMTP", 202)
    assert (row.duration_ns, row.background_ns) == (SECOND // 10, 30 * SECOND - SECOND // 10)


def test_what_the_last_end_says_counts(house: House) -> None:
    journal = house.journal()
    seq = journal.begin("/mail")
    journal.end(seq, 500, error=b"boom", duration_s=0.1, flags=RUNNING)
    house.drain()
    journal.end(seq, 500, error=b"boom\nSMTP", duration_s=0.1, background_s=2.0)
    house.drain()
    row = house.row(request)
    assert (row.outcome, row.error, row.status) == ("failed", "boom\nSMTP", 500)


def test_a_request_torn_out_of_a_worker_that_lives_on_has_failed(house: House) -> None:
    journal = house.journal()
    journal.now_ns = time.time_ns() - 6 * SECOND
    journal.request("/export", 0, error=b"SystemExit: 1", flags=ABORTED)
    house.drain()
    assert house.row(request).outcome == "open", "its worker may still be dying"
    journal.now_ns = time.time_ns() - 11 * SECOND
    journal.request("/export", 0, error=b"SystemExit: 1", flags=ABORTED)
    house.restart()
    house.drain()
    first, row = house.rows(request)
    assert first.outcome == "open"
    assert (row.outcome, row.error) == ("failed", "SystemExit: 1")
    assert house.row(rollup).failed == 1


def test_an_end_without_a_begin_is_counted_and_ignored(house: House) -> None:
    journal = house.journal()
    journal.end(17)
    journal.end(18, error=b"boom")
    journal.request()
    house.drain()
    assert house.watcher.ignored == 2
    assert len(house.rows(ordinary_request)) == 1


def test_a_request_that_begins_twice_counts_once(house: House) -> None:
    first, second = house.journal(dead()), house.journal(dead(pid=4243))
    first.request("/", 500)
    first.writer.close()
    data = (first.app_folder / f"{first.uid}.000001.journal").read_bytes()
    header = unpack_header(data)
    assert header is not None
    with (first.app_folder / f"{first.uid}.000001.journal").open("r+b") as file:
        file.seek(len(data) // 2)
        file.write(data[header.size : header.size + 512])
    second.request()
    house.drain()
    assert len(house.rows(request)) == 1
    assert len(house.rows(ordinary_request)) == 1


def test_segments_of_the_dead_are_deleted_and_the_last_of_the_living_stays(house: House) -> None:
    alive = house.journal(living(), segment_size=MIN_SEGMENT_SIZE)
    gone = house.journal(dead(), segment_size=MIN_SEGMENT_SIZE)
    for journal in (alive, gone):
        for _ in range(2000):
            journal.request("/" + "x" * 100)
        assert len(journal.files()) > 3
    house.drain()
    assert len(alive.files()) == 1
    assert gone.files() == alive.files()
    assert len(house.rows(ordinary_request)) == 4000
    alive.request()
    house.drain()
    assert len(house.rows(ordinary_request)) == 4001


def test_one_request_may_span_segments_and_restarts(house: House) -> None:
    journal = house.journal(segment_size=MIN_SEGMENT_SIZE)
    seq = journal.begin("/long")
    for _ in range(3000):
        journal.request("/" + "x" * 100)
    house.drain()
    house.restart()
    for _ in range(3000):
        journal.request("/" + "x" * 100)
    journal.end(seq, 500)
    house.drain()
    assert house.row(request).uri == "/long"
    assert house.row(request).outcome == "failed"
    assert len(house.rows(ordinary_request)) == 6000


def test_a_segment_that_never_was_is_passed_over(house: House) -> None:
    journal = house.journal(dead(), segment_size=MIN_SEGMENT_SIZE)
    for _ in range(3000):
        journal.request("/" + "x" * 100)
    journal.writer.close()
    lost = journal.app_folder / f"{journal.uid}.000002.journal"
    lost.unlink()
    house.drain()
    stored = len(house.rows(ordinary_request))
    assert 1000 < stored < 3000
    assert journal.files() == []


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def another(process: subprocess.Popen[bytes]) -> Identity:
    """Another process, which may be ended."""
    return living()._replace(pid=process.pid, start_ticks=identity.start_ticks(process.pid))


def test_what_gave_way_unread_leaves_no_request_that_looks_unfinished(
    house: House, sleeper: subprocess.Popen[bytes]
) -> None:
    journal = house.journal(another(sleeper), segment_size=MIN_SEGMENT_SIZE)
    journal.now_ns = time.time_ns() - 3600 * SECOND
    journal.begin("/ended-unread")
    house.drain()
    house.close()
    journal.end(1)
    while len(journal.files()) < 3:
        journal.request("/" + "x" * 100)
    journal.now_ns = time.time_ns()
    journal.begin("/killer")
    for name in journal.files()[:2]:
        (journal.app_folder / name).unlink()
    sleeper.kill()
    sleeper.wait()
    house.restart()
    house.drain()
    assert [(row.uri, row.outcome) for row in house.rows(request)] == [("/killer", "unfinished")]


def test_a_worker_whose_journal_gave_way_as_a_whole_is_no_incident(
    house: House, sleeper: subprocess.Popen[bytes]
) -> None:
    journal = house.journal(another(sleeper))
    journal.begin("/ended-unread")
    house.drain()
    house.watcher.intake.workers[("shop", journal.uid)].close()
    for name in journal.files():
        (journal.app_folder / name).unlink()
    sleeper.terminate()
    sleeper.wait()
    house.drain()
    assert house.row(worker).died_ns is not None
    assert house.rows(request) == house.rows(incident) == []


def test_damage_is_counted_and_what_follows_is_read(house: House) -> None:
    journal = house.journal(dead())
    for _ in range(100):
        journal.request()
    journal.writer.close()
    path = journal.app_folder / f"{journal.uid}.000001.journal"
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xaa" * 100)
    house.drain()
    row = house.row(worker)
    assert row.damaged == 1
    assert 100 <= row.damaged_bytes < 500
    counted = len(house.rows(ordinary_request)) + len(house.rows(request))
    assert 95 <= counted < 100


def test_hostile_numbers_fit_their_columns(house: House) -> None:
    journal = house.journal(dead())
    most = 2**64 - 1
    journal.begin_raw(b"", 2**63 - 1, most)
    journal.append(END, END_FIXED.pack(1, most, most - 1, most - 1, 65535, most) + b"\0\xff")
    journal.begin_raw(b"\0\0\0\0\0\0\0\0", -(2**63))
    journal.append(END, END_FIXED.pack(2, 1, most - 1, most - 1, 200, 0))
    journal.begin_raw(b"x", 0, most)
    journal.append(BEGIN, BEGIN_FIXED.pack(2**63, 0, 0, 0) + b"x")
    journal.append(END, END_FIXED.pack(2**63, 1, 1, 1, 500, 0))
    for kind in (BEGIN, END, EXIT, 0x77):
        for flags in (0, 255):
            journal.append(kind, b"", flags)
    journal.writer.exit(2**32 - 1, 2**64 - 1, -(2**31), -(2**63))
    journal.writer.exit(2**32 - 1, 1, -(2**31), 2**63 - 1)
    house.drain()
    failed, unfinished = house.rows(request)
    assert (failed.outcome, failed.error, failed.duration_ns) == ("failed", "\\0\\xff", 2**60)
    assert unfinished.outcome == "unfinished"
    assert [row.sent for row in house.rows(rollup)] == [2**63 - 1] * 2
    assert house.row(incident).worker_id == house.row(worker).id
    assert house.watcher.ignored >= 4


def test_two_applications_of_one_process_do_not_mix(house: House) -> None:
    for app in ("shop", "blog"):
        house.journal(living(app)).request("/" + app, 500)
    house.drain()
    names = {row.id: row.name for row in house.rows(application)}
    kept = {names[row.application_id]: row.uri for row in house.rows(request)}
    assert kept == {"shop": "/shop", "blog": "/blog"}
    assert len(house.rows(worker)) == 2


def test_a_journal_in_another_applications_folder_is_left_alone(house: House) -> None:
    journal = house.journal(dead("shop"))
    journal.request("/", 500)
    other = house.folder / "blog"
    other.mkdir()
    name = journal.files()[0]
    os.link(journal.app_folder / name, other / name)
    house.drain()
    assert len(house.rows(request)) == 1
    assert (other / name).exists()
    assert any("belongs to another file" in words for words in house.warnings)


def test_the_requests_that_could_not_be_recorded_are_known(house: House) -> None:
    journal = house.journal()
    journal.request()
    house.drain()
    with (journal.app_folder / journal.files()[0]).open("r+b") as file:
        file.seek(LOST_OFFSET)
        file.write(b"\x05")
    journal.request()
    house.drain()
    assert house.row(worker).lost == 5


def test_progress_tells_requests_and_bytes(house: House) -> None:
    journal = house.journal(dead(), segment_size=MIN_SEGMENT_SIZE)
    for _ in range(2000):
        journal.request()
    size = sum((journal.app_folder / name).stat().st_size for name in journal.files())
    told: list[tuple[int, int, int]] = []
    house.watcher.intake._progress = lambda *numbers: told.append(numbers)
    house.drain()
    assert told[-1] == (2000, size, size)


def test_what_was_only_logged_is_no_failure_and_is_counted_by_its_place(house: House) -> None:
    journal = house.journal()
    for number in range(3):
        error = b"auth: wrong password\n" if number else b"auth: locked\n"
        journal.request("/login", 401, error=error, flags=LOGGED)
    journal.end(journal.begin("/login"), 200, duration_s=9, error=b"auth: slow\n", flags=LOGGED)
    journal.request("/login", 500, error=b"auth: broken\n", flags=LOGGED)
    journal.request("/login", 200, error=b"Traceback: it escaped\n")
    house.drain()
    house.restart()
    journal.request("/login", 401, error=b"auth: wrong password\n", flags=LOGGED)
    house.drain()
    assert [(row.outcome, row.status) for row in house.rows(request)] == [
        ("slow", 200),
        ("failed", 500),
        ("failed", 200),
    ]
    assert {row.place: row.count for row in house.rows(logged_error)} == {
        "auth: locked": 1,
        "auth: wrong password": 3,
    }
    assert [row.status for row in house.rows(ordinary_request)] == [401] * 4


def test_places_of_logged_errors_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged, "MOST_PLACES", 5)
    journal = house.journal()
    for number in range(20):
        journal.request("/login", 401, error=b"auth: %d\n" % number, flags=LOGGED)
    house.drain()
    assert len(house.rows(logged_error)) == 5
