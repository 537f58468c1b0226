"""The traits of a request."""

from __future__ import annotations

import pytest

from standfast.diagnose.suspects import Request
from standfast.diagnose.suspects.traits import KINDS, traits_of


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
    assert {kind for kind, _ in traits_of(request)} == set(KINDS)


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
