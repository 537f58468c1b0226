"""Whether the incidents suffice, and how many more would."""

from __future__ import annotations

import math

import pytest

from standfast.diagnose.suspects import Incident
from standfast.diagnose.suspects.advice import Contender, advise, information
from standfast.diagnose.suspects.candidates import Facts

from .sites import exposure, incident

BLIND = Contender("blind chance", (), 0.1, 0.0)


def facts(deaths: int = 8, **seconds: float) -> Facts:
    return Facts([incident("/a", age_s=0.0)] * deaths, exposure(1_000.0, 10_000, **seconds))


def test_information_over_blind_chance_is_the_divergence_by_hand() -> None:
    """A route that is there in 1 of 1,000 moments, and in 9 of 10 deaths: its lift is 1,000.

    Then 0.9 ln(0.1 + 0.9 * 1000) + 0.1 ln(0.1) is expected of each death.
    """
    first = Contender("/a", ("/a",), 1.0, 8.0)
    by_hand = 0.9 * math.log(0.1 + 900) + 0.1 * math.log(0.1)
    mean, deviation = information(first, BLIND, facts(a=1.0))
    assert mean == pytest.approx(by_hand, rel=0.02)
    # The deviation of a coin with 0.9, times the distance of its sides.
    assert deviation == pytest.approx(0.3 * (math.log(900.1) - math.log(0.1)), rel=0.05)


def test_a_rival_that_is_rarely_there_is_told_apart_fast() -> None:
    first, rival = Contender("/a", ("/a",), 0.5, 4.0), Contender("/b", ("/b",), 0.5, 4.0)
    seldom, _ = information(first, rival, facts(a=100.0, b=10.0))
    often, _ = information(first, rival, facts(a=100.0, b=1_000.0))
    always, _ = information(first, rival, facts(a=30_000.0, b=30_000.0))
    assert seldom > often > always > 0


def test_a_pair_is_told_from_one_of_its_routes_by_the_other() -> None:
    pair = Contender("/a + /b", ("/a", "/b"), 0.5, 4.0)
    route = Contender("/a", ("/a",), 0.5, 4.0)
    assert information(pair, route, facts(a=10.0, b=10.0))[0] > 1
    assert information(pair, route, facts(a=10.0, b=30_000.0))[0] < 0.1


def test_the_number_is_what_is_lacking_over_what_each_incident_brings() -> None:
    first = Contender("/a", ("/a",), 0.5, 4.0)
    rival = Contender("/b", ("/b",), 0.25, 2.0)
    known = facts(a=500.0, b=500.0)
    advice = advise([first, rival], 0.1, known)
    lacking = math.log(0.95 / 0.05) - math.log(0.5 / 0.25)
    mean, deviation = information(first, rival, known)
    assert advice.more is not None

    def brought(incidents: int) -> float:
        return incidents * mean - 0.84 * deviation * math.sqrt(incidents)

    assert brought(advice.more) >= lacking > brought(advice.more - 1)
    assert advice.statement == (
        f"About {advice.more} more incidents would tell /a (50%) from /b (25%)."
    )


def test_one_that_is_found_needs_no_more() -> None:
    advice = advise([Contender("/a", ("/a",), 0.97, 8.0)], 0.01, facts(a=1.0))
    assert advice == ("The incidents suffice: /a is to blame.", 0)


def test_what_is_always_there_needs_other_evidence() -> None:
    first = Contender("/a", ("/a",), 0.4, 3.0)
    rival = Contender("/b", ("/b",), 0.4, 3.0)
    advice = advise([first, rival], 0.1, facts(a=90_000.0, b=90_000.0))
    assert advice.more is None
    assert advice.statement.endswith("evidence such as the crashing thread would.")


def test_deaths_that_strike_blindly_are_called_so() -> None:
    assert "struck blindly" in advise([], 0.99, facts(a=1.0)).statement
    assert "struck blindly" in advise([BLIND], 0.96, facts(a=1.0)).statement


def test_without_a_request_in_flight_there_is_nothing_to_say() -> None:
    nothing = Facts([Incident([])], exposure(a=1.0))
    assert advise([], 1.0, nothing).more is None
