from __future__ import annotations

import time
from pathlib import Path

import pytest

from standfast.store.tables import ordinary_request, request, rollup
from standfast.watch import Settings, retention
from tests.unit.watch.journals import SECOND, House, dead


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, Settings(keep_ordinary_s=3600))


def test_ordinary_rows_go_when_their_time_is_over_and_nothing_else(house: House) -> None:
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() - 7200 * SECOND
    journal.request("/old")
    journal.request("/old", 500)
    journal.now_ns = time.time_ns() - 3700 * SECOND
    journal.request("/just-over")
    journal.now_ns = time.time_ns() - 3500 * SECOND
    journal.request("/young")
    house.drain()
    (kept,) = house.rows(ordinary_request)
    assert b"/young" in kept.raw
    assert len(house.rows(request)) == 1
    assert sum(row.count for row in house.rows(rollup)) == 4


def test_wrong_clocks_do_not_keep_what_is_behind_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    journal = house.journal(dead())
    journal.now_ns = 2**62
    for _ in range(25):
        journal.request("/future")
    journal.now_ns = time.time_ns() - 3700 * SECOND
    for _ in range(25):
        journal.request("/old")
    journal.now_ns = time.time_ns()
    journal.request("/young")
    house.drain()
    (kept,) = house.rows(ordinary_request)
    assert b"/young" in kept.raw
