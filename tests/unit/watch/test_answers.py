"""A response that is complete is known as such, also while the application's code runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast.journal.format import MIN_SEGMENT_SIZE
from standfast.store.tables import ordinary_request, request
from standfast.watch.inflight import BACKGROUND, RUNNING, in_flight
from tests.unit.watch.journals import SECOND, House, dead


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("drains", ["", "a", "b", "ab", "r", "abr"])
def test_a_response_in_its_place_is_complete_and_its_request_open(
    house: House, drains: str
) -> None:
    journal = house.journal()
    seq = journal.begin("/mail", slot=3)
    if "a" in drains:
        house.drain()
        assert house.row(request).duration_ns is None
    journal.answer(seq, 202, duration_s=0.1)
    if "b" in drains:
        house.drain()
    if "r" in drains:
        house.restart()
    house.drain()
    row = house.row(request)
    assert (row.outcome, row.duration_ns, row.status, row.sent) == ("open", SECOND // 10, 202, 5)
    assert [one.state for one in in_flight(str(house.folder))] == [BACKGROUND]
    journal.end(seq, 202, duration_s=0.1, background_s=30)
    house.drain()
    assert house.rows(request) == []
    assert house.row(ordinary_request).duration_ns == SECOND // 10
    assert in_flight(str(house.folder)) == []
    assert house.watcher.ignored == 0


@pytest.mark.parametrize("drains", ["", "a", "b", "ab"])
def test_a_worker_that_dies_in_the_background_has_answered_its_client(
    house: House, drains: str
) -> None:
    journal = house.journal(dead())
    answered, other = journal.begin("/mail", slot=3), journal.begin("/killer", slot=4)
    before = journal.begin("/before", slot=5)
    journal.answer(before)
    journal.end(before)
    assert other
    journal.answer(answered, 202, duration_s=0.5)
    house.drain()
    rows = {row.uri: row for row in house.rows(request)}
    assert {uri: row.outcome for uri, row in rows.items()} == {
        "/mail": "unfinished",
        "/killer": "unfinished",
    }
    assert (rows["/mail"].status, rows["/mail"].duration_ns) == (202, SECOND // 2)
    assert (rows["/killer"].status, rows["/killer"].duration_ns) == (None, None)


def test_an_answer_is_not_lost_with_the_segment_in_which_its_request_began(house: House) -> None:
    journal = house.journal(segment_size=MIN_SEGMENT_SIZE)
    seq, other = journal.begin("/mail", slot=3), journal.begin("/long", slot=4)
    house.drain()
    journal.answer(seq)
    for _ in range(3000):
        journal.request("/" + "x" * 100)
    house.drain()
    assert other and len(journal.files()) == 1
    states = {one.uri: one.state for one in in_flight(str(house.folder), engine=house.engine)}
    assert states == {"/mail": BACKGROUND, "/long": RUNNING}


def test_the_places_of_requests_that_have_ended_cost_nothing(house: House) -> None:
    journal = house.journal()
    open_one = journal.begin("/open", slot=100)
    house.drain()
    for _ in range(3):
        for slot in range(50):
            seq = journal.begin("/fine", slot=slot)
            journal.answer(seq)
            journal.end(seq, background_s=0.001)
        house.drain()
    assert open_one and house.watcher.ignored == 0
    assert [row.uri for row in house.rows(request)] == ["/open"]
    assert len(house.rows(ordinary_request)) == 150
