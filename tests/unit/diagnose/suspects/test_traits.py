"""The traits of a request, and how long it has each."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.diagnose.suspects import Request
from standfast.diagnose.suspects.traits import KINDS, age_of, ages_of, traits_of


def test_every_trait_of_a_request_is_named() -> None:
    request = Request(
        "/search",
        0.2,
        parameters=(("q", "abc"), ("page", "")),
        client="192.0.2.7",
        user_agent="curl/8",
        method="GET",
        hour=7,
    )
    assert traits_of(request) == {
        ("parameter", "q"),
        ("value", "q=abc"),
        ("size", "q of 1 to 9 characters"),
        ("parameter", "page"),
        ("value", "page="),
        ("size", "page empty"),
        ("client", "192.0.2.7"),
        ("user_agent", "curl/8"),
        ("method", "GET"),
        ("hour", "07"),
    }
    assert {kind for kind, _ in traits_of(request)} | {"age"} == set(KINDS)


def test_nothing_known_is_no_trait() -> None:
    assert traits_of(Request("/", 1.0)) == set()


def test_a_long_value_is_told_by_its_size_alone() -> None:
    traits = traits_of(Request("/", 1.0, parameters=(("q", "x" * 5_000),)))
    assert traits == {("parameter", "q"), ("size", "q of 1000 to 9999 characters")}


@pytest.mark.parametrize(
    ("length", "size"),
    [
        (9, "of 1 to 9 characters"),
        (10, "of 10 to 99 characters"),
        (99_999, "of 10000 to 99999 characters"),
        (100_000, "of 100000 characters or more"),
    ],
)
def test_sizes_grow_tenfold(length: int, size: str) -> None:
    assert ("size", f"q {size}") in traits_of(Request("/", 1.0, parameters=(("q", "x" * length),)))


@given(st.floats(0.0, 1e5))
def test_a_request_spends_its_whole_time_in_one_age_or_another(duration_s: float) -> None:
    request = Request("/", duration_s)
    ages = dict(ages_of(request))
    assert math.isclose(sum(ages.values()), duration_s, rel_tol=1e-9)
    assert all(seconds > 0 for seconds in ages.values())


@given(st.floats(0.001, 1e5))
def test_the_age_at_death_is_the_last_it_came_to(duration_s: float) -> None:
    request = Request("/", duration_s)
    passed = [age for age, _ in ages_of(request)]
    # At the very edge it enters an age in which it has spent no time yet.
    assert age_of(request) == passed[-1] or duration_s in (0.01, 0.1, 1.0, 10.0, 100.0)
