"""What hangs, and what only lives long, told from records of a process that lives: this one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from standfast.journal.format import EVENT_STREAM, PROGRESS, PROGRESS_FIXED, UNKNOWN, WEBSOCKET
from standfast.store.tables import evidence, incident, request
from standfast.watch import Settings, hangs
from tests.unit.watch.journals import House, Journal, wait_until

SECOND = 1_000_000_000
OLD_S = 100


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, Settings(hang_s=60, keep_ordinary_s=1e9))


def begin(journal: Journal, uri: str = "/feed", flags: int = 0, age_s: float = OLD_S) -> int:
    fields = "\0".join(("192.0.2.1", "GET", uri, "shop.test", "", "curl/8")).encode()
    return journal.begin_raw(fields, time.time_ns() - int(age_s * SECOND), flags=flags)


def progress(journal: Journal, seq: int, age_s: float, sent: int = 5000) -> None:
    journal.append(PROGRESS, PROGRESS_FIXED.pack(seq, int(age_s * SECOND), sent))


def hanging(house: House, journal: Journal) -> list[str]:
    """The URIs of what hangs, when a request that surely does has been seen to."""
    begin(journal, "/stuck")
    stuck = house.rows(request, uri="/stuck")

    def is_seen() -> bool:
        house.drain()
        rows = house.rows(request, uri="/stuck")
        return len(rows) > len(stuck) and rows[-1].incident_id is not None

    wait_until(is_seen)
    rows = house.rows(request, outcome="open")
    return [row.uri for row in rows if row.incident_id and row.uri != "/stuck"]


def test_a_request_that_is_open_for_too_long_hangs_and_one_that_lives_long_does_not(
    house: House,
) -> None:
    journal = house.journal()
    begin(journal, "/hangs")
    begin(journal, "/events", EVENT_STREAM)
    begin(journal, "/chat", WEBSOCKET)
    begin(journal, "/young", age_s=30)
    assert hanging(house, journal) == ["/hangs"]
    assert [row.kind for row in house.rows(request)[:4]] == ["http", "stream", "websocket", "http"]


def test_a_response_that_goes_on_is_no_hang_and_one_that_stands_still_is(house: House) -> None:
    journal = house.journal()
    flowing, standing = begin(journal, "/flowing"), begin(journal, "/standing")
    progress(journal, standing, 20)
    progress(journal, flowing, OLD_S - 10)
    assert hanging(house, journal) == ["/standing"]
    assert {row.uri: row.sent for row in house.rows(request) if row.uri != "/stuck"} == {
        "/flowing": 5000, "/standing": 5000,
    }  # fmt: skip


def test_what_may_have_been_sent_since_the_last_record_of_it_counts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hangs, "PROGRESS_EVERY_NS", 10 * int(OLD_S * SECOND))
    journal = house.journal()
    progress(journal, begin(journal, "/flowing"), 1)
    begin(journal, "/silent")
    assert hanging(house, journal) == ["/silent"]


def test_a_watcher_that_starts_again_gives_what_was_flowing_its_time(house: House) -> None:
    journal = house.journal()
    progress(journal, begin(journal), OLD_S - 10)
    assert hanging(house, journal) == []
    house.restart()
    assert hanging(house, journal) == []


def test_a_route_whose_requests_take_as_long_has_no_hang(house: House) -> None:
    journal = house.journal()
    for _ in range(3):
        journal.end(begin(journal, "/report", age_s=1000), duration_s=2 * OLD_S)
    journal.end(begin(journal, "/rare", age_s=1000), duration_s=2 * OLD_S)
    journal.end(begin(journal, "/rare", age_s=1000), duration_s=2 * OLD_S)
    begin(journal, "/report")
    begin(journal, "/rare")
    assert hanging(house, journal) == ["/rare"]


def test_a_hang_is_told_with_the_state_of_worker_and_host_at_that_time(house: House) -> None:
    assert hanging(house, house.journal()) == []
    kinds = {row.kind for row in house.rows(evidence)}
    assert kinds >= {"hang", "curve", "host_memory"}
    assert house.row(incident).kind == "hang"


def test_hostile_progress_does_no_harm(house: House) -> None:
    journal = house.journal()
    seq = begin(journal)
    journal.append(PROGRESS, b"short")
    for number in (0, 2**63, 2**64 - 1, seq + 1000):
        journal.append(PROGRESS, PROGRESS_FIXED.pack(number, 2**64 - 1, UNKNOWN))
    progress(journal, seq, 5, sent=2**64 - 2)
    assert hanging(house, journal) == ["/feed"]
    progress(journal, seq, 2**63 / SECOND)
    house.drain()
    assert house.row(request, uri="/feed").sent == 5000
