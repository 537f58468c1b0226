"""How far each is behind each other one: their clocks' errors taken out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cluster.status.matrix import ages, behind
from standfast.cluster.status.seen import Clock, SiteSeen, Unreached
from tests.unit.cluster.status.sites import (
    NOW_S,
    reached,
    replica,
    site,
    well,
    with_replica,
    with_server,
    without_beats,
)

NAMES = ("ie", "nl", "us")
OFFSETS = st.floats(-3600, 3600)


def with_offsets(seen: SiteSeen, offsets: dict[str, float]) -> SiteSeen:
    """The same moment on servers whose clocks are so far ahead."""
    for name, offset in offsets.items():
        found = replica(seen, name)
        beats = {
            number: None if beat is None else beat + offsets[NAMES[number - 1]]
            for number, beat in found.beats.items()
        }
        found = replace(found, read_at_s=found.read_at_s + offset, beats=beats)
        seen = with_replica(seen, name, found)
        seen = with_server(seen, name, replace(reached(seen, name), clock=Clock(offset, 0.0)))
    return seen


@given(OFFSETS, OFFSETS, OFFSETS)
def test_whatever_the_clocks_say_the_ages_are_the_same(ie: float, nl: float, us: float) -> None:
    one = site()
    seen = without_beats(one, well(one), "us", "ie", age_s=7.0)
    wrong = with_offsets(seen, {"ie": ie, "nl": nl, "us": us})
    assert ages(one, wrong) == pytest.approx(ages(one, seen), abs=1e-5)
    assert ages(one, wrong)["ie", "us"] == pytest.approx(7.0, abs=1e-5)
    assert ages(one, wrong)["us", "ie"] == pytest.approx(0.4, abs=1e-5)


def test_a_beat_of_the_future_is_no_lag() -> None:
    one = site()
    assert ages(one, without_beats(one, well(one), "us", "ie", age_s=-0.2))["ie", "us"] == 0.0


def test_a_reader_that_is_away_has_no_column_and_an_origin_that_is_away_a_row() -> None:
    one = site()
    seen = with_server(well(one), "nl", Unreached("no"))
    assert {reader for _, reader in ages(one, seen)} == {"ie", "us"}
    assert {origin for origin, _ in ages(one, seen)} == set(NAMES)


def test_a_server_that_nobody_has_heard_of_has_no_age() -> None:
    one = site()
    seen = well(one)
    for name in NAMES:
        found = replica(seen, name)
        seen = with_replica(seen, name, replace(found, beats={1: NOW_S, 2: None}))
    assert [ages(one, seen)[origin, "ie"] for origin in NAMES] == [0.0, None, None]


def test_transactions_behind_are_counted_from_the_most_that_anybody_has() -> None:
    one = site()
    seen = well(one)
    found = replica(seen, "nl")
    seen = with_replica(seen, "nl", replace(found, positions={1: 88, 2: 100}))
    seen = with_server(seen, "ie", Unreached("no"))
    assert behind(one, seen) == {
        ("ie", "nl"): 12, ("ie", "us"): 0,
        ("nl", "nl"): 0, ("nl", "us"): 0,
        ("us", "nl"): 100, ("us", "us"): 0,
    }  # fmt: skip


def test_where_nothing_was_ever_written_nobody_is_behind_and_nobody_knows() -> None:
    one = site()
    seen = well(one)
    for name in NAMES:
        seen = with_replica(seen, name, replace(replica(seen, name), positions={}))
    assert set(behind(one, seen).values()) == {None}
