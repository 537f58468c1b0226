"""What an address asks for."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.store.period import HOUR_NS, Period
from standfast.web.selection import PAGE_SIZE, BadQuery, select

NOW_NS = 1_764_000_000 * 10**9
TEXT = st.text(max_size=30)


def test_a_period_ends_now_and_a_week_is_the_usual_one() -> None:
    assert select({"period": "1h"}, NOW_NS).period == Period(NOW_NS - HOUR_NS)
    assert select({}, NOW_NS).period == Period(NOW_NS - 7 * 24 * HOUR_NS)
    assert select({"period": "all"}, NOW_NS).period == Period()


def test_a_period_may_have_a_beginning_and_an_end_in_utc() -> None:
    chosen = select({"from": "2026-11-23T08:00", "to": "2026-11-23T10:00+01:00"}, NOW_NS)
    assert chosen.period.since_ns is not None and chosen.period.until_ns is not None
    assert chosen.period.until_ns - chosen.period.since_ns == HOUR_NS


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"period": "2y"}, "1h, 24h, 7d, 30d, all"),
        ({"from": "yesterday"}, "2026-11-23T08:00"),
        ({"from": "0001-01-01"}, "2026-11-23T08:00"),
        ({"from": "2026-11-23", "to": "2026-11-22"}, "before its beginning"),
        ({"sort": "-beauty"}, "time, route"),
        ({"page": "0"}, "from 1 up"),
        ({"page": "9" * 50}, "from 1 up"),
        ({"page": "\N{SUPERSCRIPT TWO}"}, "from 1 up"),
        ({"status": "teapot"}, "number"),
        ({"q": "x" * 2000}, "too long"),
    ],
)
def test_what_cannot_be_asked_for_is_answered_with_what_can(
    asked: dict[str, str], words: str
) -> None:
    with pytest.raises(BadQuery, match=words):
        select(asked, NOW_NS, ("time", "route"))


def test_another_order_or_filter_leads_back_to_the_first_page() -> None:
    chosen = select({"page": "3", "q": "tea & cup", "sort": "route"}, NOW_NS, ("time", "route"))
    assert chosen.offset == 2 * PAGE_SIZE
    assert dict(parse_qsl(chosen.query(page=4)[1:])) == {
        "page": "4", "q": "tea & cup", "sort": "route",
    }  # fmt: skip
    assert "page" not in dict(parse_qsl(chosen.query(sort="-time")[1:]))
    assert chosen.query(q=None, sort=None) == "?"


def test_a_period_with_a_name_takes_the_place_of_one_with_ends() -> None:
    chosen = select({"from": "2026-11-23T08:00"}, NOW_NS)
    assert chosen.query(period="1h") == "?period=1h"


@given(
    st.dictionaries(
        st.sampled_from(["route", "host", "q", "place"]), TEXT.filter(lambda text: "\0" not in text)
    )
)
def test_an_address_says_again_what_was_asked_for(asked: dict[str, str]) -> None:
    chosen = select(asked, NOW_NS)
    again = select(dict(parse_qsl(chosen.query(page=1)[1:], keep_blank_values=True)), NOW_NS)
    assert (again.route, again.host, again.search) == (chosen.route, chosen.host, chosen.search)


@given(
    st.dictionaries(
        st.sampled_from(["period", "from", "to", "sort", "page", "status", "route"]), TEXT
    )
)
def test_whatever_an_address_says_it_makes_sense_or_is_refused(asked: dict[str, str]) -> None:
    try:
        chosen = select(asked, NOW_NS)
    except BadQuery as problem:
        assert str(problem)
    else:
        assert chosen.page >= 1
        assert chosen.order == "time"
