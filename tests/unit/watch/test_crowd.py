"""A worker that dies with ever so many open requests costs no more than it may."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from standfast.store.in_flight import in_flight
from standfast.store.tables import incident, ordinary_request, request, worker
from standfast.watch import crowd, intake
from tests.unit.watch.journals import House, dead, living


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(crowd, "FIRST", 30)
    monkeypatch.setattr(crowd, "LAST", 20)
    monkeypatch.setattr(crowd, "MOST_OPEN", 50)
    return House(tmp_path)


@pytest.mark.parametrize("batch", [7, 45, 1000])
def test_the_first_and_the_last_are_kept_and_the_others_are_counted(
    house: House, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(intake, "BATCH_RECORDS", batch)
    monkeypatch.setattr(intake, "_READ_BYTES", 1)
    journal = house.journal(dead())
    for number in range(500):
        journal.begin(f"/{number}" + "x" * 500)
    house.drain()
    kept = [int(row.uri.strip("/x")) for row in house.rows(request, outcome="unfinished")]
    assert kept == [*range(30), *range(480, 500)]
    assert house.row(worker).left_out == 450
    number = house.row(incident).id
    assert {row.incident_id for row in house.rows(request)} == {number}
    with house.engine.connect() as connection:
        ((_, told),) = in_flight(connection, select(request), [number], most=10)
    assert (len(told.rows), told.left_out) == (10, 490), "what is read says what it leaves out"


def test_of_those_left_out_that_end_the_count_is_taken_back(house: House) -> None:
    journal = house.journal(living())
    seqs = [journal.begin("/x") for _ in range(200)]
    house.drain()
    assert house.row(worker).left_out == 150
    house.restart()
    for seq in seqs[:-1]:
        journal.end(seq)
    house.drain()
    assert house.row(worker).left_out == 0
    assert len(house.rows(ordinary_request)) == 49
    assert len(house.rows(request)) == 1
    # There is room again.
    for _ in range(49):
        journal.begin("/y")
    house.drain()
    assert house.row(worker).left_out == 0
    assert len(house.rows(request)) == 50
