"""The promises of the ranking, over made-up incidents of every kind."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.diagnose.suspects import CERTAIN, Exposure, Incident, Request, expose, rank

from .sites import exposure, find, incident, probability

NAMES = ["/a", "/b", "/c", "/d"]

requests = st.builds(
    Request,
    route=st.sampled_from(NAMES),
    duration_s=st.floats(0.001, 5.0),
    parameters=st.sampled_from([(), (("q", "x"),), (("q", "y"),)]),
    client=st.sampled_from(["", "192.0.2.1", "192.0.2.2"]),
    evidence=st.sampled_from([1.0, 1.0, 1.0, 0.0, 20.0, CERTAIN, math.inf]),
)
incidents = st.lists(st.builds(Incident, st.lists(requests, max_size=5)), min_size=1, max_size=6)
exposures = st.builds(
    lambda seconds, closed: Exposure(
        10_000.0,
        dict(zip(NAMES, seconds, strict=False)),
        1_000,
        lambda route: [r for r in closed if r.route == route],
    ),
    st.lists(st.floats(0.1, 20_000.0), max_size=4),
    st.lists(requests, max_size=10),
)


@settings(deadline=None, max_examples=60)
@given(incidents, exposures)
def test_all_that_is_said_is_a_probability(given: list[Incident], seen: Exposure) -> None:
    ranking = rank(given, seen)
    assert [s.rank for s in ranking.suspects] == list(range(1, len(ranking.suspects) + 1))
    for suspect in ranking.suspects:
        assert 0 <= suspect.low <= suspect.probability <= suspect.high <= 1
        assert 0 <= suspect.explains <= len(given) + 1e-6
        assert 0 < suspect.incidents <= len(given)
        assert suspect.exposure_s >= 0
    assert ranking.statement.endswith(".")


@settings(deadline=None, max_examples=60)
@given(incidents, exposures)
def test_the_requests_of_an_incident_share_one_death_at_most(
    given: list[Incident], seen: Exposure
) -> None:
    ranking = rank(given, seen)
    assert [len(found) for found in ranking.culprits] == [len(each.requests) for each in given]
    for found in ranking.culprits:
        assert all(value >= 0 for value in found)
        assert sum(found) <= 1 + 1e-6
    wholes = [s.explains for s in ranking.suspects if s.kind in ("route", "pair")]
    assert sum(wholes) <= len(given) + 1e-6


@settings(deadline=None, max_examples=40)
@given(incidents, exposures, st.randoms(use_true_random=False))
def test_the_order_of_incidents_and_requests_does_not_matter(
    given: list[Incident], seen: Exposure, chance: object
) -> None:
    shuffle = getattr(chance, "shuffle")  # noqa: B009 - hypothesis types its Random as object
    order = list(range(len(given)))
    shuffle(order)
    turned = [Incident(list(reversed(given[i].requests))) for i in order]
    before, after = rank(given, seen, limit=1_000), rank(turned, seen, limit=1_000)
    said = {(s.kind, s.trait): s for s in before.suspects}
    for suspect in after.suspects:
        known = said.get((suspect.kind, suspect.trait))
        # What is next to impossible may fall under the limit of what is told.
        if known is None:
            assert suspect.probability < 0.0011
            continue
        for name in ("probability", "low", "high", "explains", "exposure_s"):
            assert getattr(suspect, name) == pytest.approx(getattr(known, name), abs=1e-4, rel=1e-4)
        assert suspect.incidents == known.incidents
    for place, index in enumerate(order):
        assert after.culprits[place][::-1] == pytest.approx(before.culprits[index], abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.sampled_from([3.0, 30.0, 1e6, CERTAIN]))
def test_evidence_against_a_request_makes_it_likelier_to_be_the_culprit(
    deaths: int, ratio: float
) -> None:
    seen = exposure(a=300.0, b=200.0, c=400.0)
    plain = [incident("/a", "/b", "/c") for _ in range(deaths)]
    first, *others = plain[0].requests
    pointed = [Incident([first._replace(evidence=ratio), *others]), *plain[1:]]
    before, after = rank(plain, seen), rank(pointed, seen)
    assert after.culprits[0][0] > before.culprits[0][0]
    assert probability(after.suspects, "route", "/a") >= probability(before.suspects, "route", "/a")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.floats(10.0, 2_000.0), st.floats(2.0, 50.0))
def test_a_route_that_was_in_flight_longer_is_suspected_less(
    deaths: int, seconds: float, times: float
) -> None:
    given = [incident("/a", "/b") for _ in range(deaths)]
    short = exposure(10_000.0, 10_000, a=seconds, b=500.0)
    # The same requests more often, so that a typical one stays what it is.
    closed = 10_000 * (seconds * times + 500.0) / (seconds + 500.0)
    long = exposure(10_000.0, round(closed), a=seconds * times, b=500.0)
    before = probability(rank(given, short).suspects, "route", "/a")
    after = probability(rank(given, long).suspects, "route", "/a")
    assert after <= before + 1e-3


def test_the_slow_route_that_is_always_there_is_not_blamed_for_being_there() -> None:
    """Counting says /slow, with 20 unfinished; the lift of /rare is 100, that of /slow is 1."""
    given = [incident("/rare", *["/slow"] * n) for n in (2, 1, 3, 2, 0, 4, 2, 1, 3, 2)]
    ranking = rank(given, exposure(slow=2_000.0, rare=10.0, other=500.0))
    assert (ranking.suspects[0].kind, ranking.suspects[0].trait) == ("route", "/rare")
    assert ranking.suspects[0].probability > 0.99
    assert ranking.suspects[0].explains > 9
    assert probability(ranking.suspects, "route", "/slow") < 0.05
    assert all(found[0] > 0.9 for found in ranking.culprits)
    assert ranking.statement == "The incidents suffice: /rare is to blame."


def test_the_crashing_thread_ends_the_question() -> None:
    given = [Incident([Request("/a", 0.1), Request("/b", 0.1, evidence=CERTAIN)])]
    ranking = rank(given, exposure(a=10.0, b=900.0))
    assert ranking.culprits[0][1] > 0.999999
    assert ranking.suspects[0].trait == "/b"


def test_crashing_threads_are_believed_however_many_routes_crash() -> None:
    given = [
        Incident([Request(f"/r{n}", 0.1, evidence=CERTAIN), Request("/a", 0.1)]) for n in range(20)
    ]
    seconds = {f"/r{n}": 10.0 for n in range(20)}
    ranking = rank(given, Exposure(1_000.0, {**seconds, "/a": 500.0}, 10_000))
    assert all(found[0] > 0.99 for found in ranking.culprits)
    assert len([one for one in ranking.suspects if one.probability >= 0.99]) == 20
    assert ranking.statement.startswith("The incidents suffice: /r")


def test_cleared_requests_are_not_blamed() -> None:
    given = [Incident([Request("/a", 0.1, evidence=0.0), Request("/b", 0.1)])] * 5
    ranking = rank(given, exposure(a=10.0, b=10.0))
    assert [found[0] for found in ranking.culprits] == [0.0] * 5
    assert ranking.suspects[0].trait == "/b"


def test_two_culprits_are_both_found_and_share_the_incidents() -> None:
    given = [incident("/a", "/c"), incident("/b"), incident("/a"), incident("/b", "/c", "/c")] * 3
    suspects = rank(given, exposure(a=10.0, b=10.0, c=900.0)).suspects
    for trait in ("/a", "/b"):
        found = find(suspects, "route", trait)
        assert found is not None
        assert found.probability > 0.99
        assert 5 < found.explains < 7


def deadly(**request: object) -> Request:
    return Request("/search", 0.2)._replace(**request)  # type: ignore[arg-type]


def harmless(number: int) -> Request:
    return Request(
        "/search",
        0.2,
        parameters=(("q", f"word{number % 50}"),),
        client=f"192.0.2.{number % 9}",
        user_agent="browser",
        method="GET",
        hour=number % 24,
    )


@pytest.mark.parametrize(
    ("kind", "trait", "culprit"),
    [
        ("parameter", "/search: debug", deadly(parameters=(("q", "word1"), ("debug", "")))),
        ("value", "/search: q=word7", deadly(parameters=(("q", "word7"),))),
        (
            "size",
            "/search: q of 1000 to 9999 characters",
            deadly(parameters=(("q", "x" * 2_000),)),
        ),
        ("client", "/search: 203.0.113.9", deadly(client="203.0.113.9")),
        ("user_agent", "/search: bot", deadly(user_agent="bot")),
        ("method", "/search: PUT", deadly(method="PUT")),
    ],
)
def test_what_sets_the_deadly_requests_apart_is_found(
    kind: str, trait: str, culprit: Request
) -> None:
    closed = [harmless(number) for number in range(2_000)]
    field = kind if kind in Request._fields else "parameters"
    # The same as others, so that this is all they have of their own.
    kept = [each._replace(**{field: getattr(culprit, field)}) for each in closed[:6]]
    closed.append(kept[0])
    given = [Incident([request, Request("/other", 0.1)]) for request in kept]
    seen = expose([*closed, *[Request("/other", 0.1)] * 5_000], 1_000.0)
    suspects = rank(given, seen).suspects
    assert (suspects[0].kind, suspects[0].trait) == ("route", "/search")
    first = next(s for s in suspects if s.kind not in ("route", "pair"))
    assert (first.kind, first.trait) == (kind, trait)
    assert first.probability > 0.5


def test_an_hour_that_kills_is_found() -> None:
    closed = [harmless(number) for number in range(2_400)]
    given = [
        Incident([harmless(number)._replace(hour=3), Request("/other", 0.1)]) for number in range(8)
    ]
    seen = expose([*closed, *[Request("/other", 0.1)] * 5_000], 1_000.0)
    assert probability(rank(given, seen).suspects, "hour", "/search: 03") > 0.5


def test_a_trait_that_all_requests_of_the_route_have_is_not_told_beside_it() -> None:
    closed = [Request("/a", 0.1, method="GET") for _ in range(100)]
    given = [Incident([Request("/a", 0.1, method="GET")])] * 5
    suspects = rank(given, expose(closed, 1_000.0)).suspects
    assert suspects[0].trait == "/a"
    assert find(suspects, "method", "/a: GET") is None


def test_nothing_is_said_within_a_route_of_which_no_closed_request_is_known() -> None:
    given = [Incident([Request("/a", 0.1, method="PUT"), Request("/b", 0.1)])] * 5
    suspects = rank(given, exposure(a=10.0, b=400.0)).suspects
    assert {suspect.kind for suspect in suspects} <= {"route", "pair"}


def test_two_routes_that_kill_only_together_are_found_as_a_pair() -> None:
    given = [incident("/a", "/b", "/c", "/d")] * 12
    first = rank(given, exposure(a=100.0, b=100.0, c=1_900.0, d=1_900.0)).suspects[0]
    assert (first.kind, first.trait) == ("pair", "/a + /b")
    assert first.incidents == 12


def test_a_race_is_no_conclusion_from_one_incident() -> None:
    suspects = rank([incident("/a", "/b")], exposure(a=1.0, b=1.0)).suspects
    assert all(suspect.kind != "pair" for suspect in suspects)


def test_a_route_that_is_always_there_is_no_partner_in_a_race() -> None:
    """When /a runs there is a little more of /c than usual, as the mix of traffic has it."""
    given = [incident("/a", *["/c"] * c, *["/d"] * (20 - c)) for c in (11, 12, 13, 12, 12)] * 20
    suspects = rank(given, exposure(1_000.0, a=100.0, c=10_000.0, d=10_000.0)).suspects
    assert (suspects[0].kind, suspects[0].trait) == ("route", "/a")
    assert find(suspects, "pair", "/a + /c") is None


def test_deaths_in_bursts_of_traffic_do_not_all_look_like_races() -> None:
    """The worker is busy for one second in a hundred, and dies when it is."""
    given = [
        incident("/a", *["/c"] * c, *["/d"] * d, *["/e"] * e)
        for c, d, e in [(2, 2, 0), (1, 3, 1), (3, 0, 1), (0, 2, 2), (2, 1, 0), (1, 1, 2), (4, 1, 1)]
    ]
    suspects = rank(given, exposure(10_000.0, a=5.0, c=200.0, d=200.0, e=95.0)).suspects
    assert (suspects[0].kind, suspects[0].trait) == ("route", "/a")
    assert suspects[0].probability > 0.9


def test_deaths_that_follow_the_load_are_blamed_on_no_route() -> None:
    given = [
        incident(*names, *names)
        for names in [
            ("/a", "/b", "/c"),
            ("/a", "/b", "/d"),
            ("/a", "/c", "/d"),
            ("/b", "/c", "/d"),
        ]
        * 3
    ]
    ranking = rank(given, exposure(10_000.0, a=100.0, b=100.0, c=100.0, d=100.0))
    assert all(suspect.probability < 0.5 for suspect in ranking.suspects)


def test_a_statement_says_how_many_incidents_are_lacking() -> None:
    seen = exposure(1_000.0, 100_000, a=50.0, b=60.0)
    ranking = rank([incident("/a", "/b")] * 2, seen)
    assert ranking.more is not None
    assert ranking.statement.startswith(f"About {ranking.more} more incident")


def test_deaths_with_nothing_in_flight_suspect_nothing() -> None:
    ranking = rank([Incident([]), Incident([])], exposure(a=10.0))
    assert (ranking.suspects, ranking.culprits) == ([], [[], []])
    assert ranking.statement.startswith("No incident had a request in flight")
    assert rank([], exposure(a=10.0)).suspects == []


def test_deaths_in_idle_time_speak_for_the_background() -> None:
    few = [incident("/a")]
    seen = exposure(a=500.0, b=500.0)
    alone = probability(rank(few, seen).suspects, "route", "/a")
    among = probability(rank(few + [Incident([])] * 9, seen).suspects, "route", "/a")
    assert among < alone


def test_more_of_the_same_narrows_the_interval() -> None:
    mixed = [incident("/a", "/c"), incident("/a"), incident("/b", "/c")]
    seen = exposure(a=100.0, b=200.0, c=300.0)
    few = find(rank(mixed, seen).suspects, "route", "/a")
    many = find(rank(mixed * 20, seen).suspects, "route", "/a")
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low


def test_the_list_for_machines_has_the_documented_keys() -> None:
    (first, *_) = rank([incident("/a")] * 3, exposure(a=10.0)).as_json()
    assert list(first) == [
        "rank",
        "kind",
        "trait",
        "probability",
        "low",
        "high",
        "incidents",
        "exposure_s",
        "explains",
    ]


def test_the_limit_keeps_the_best() -> None:
    given = [incident("/a", "/b", "/c")] * 2
    seen = exposure(a=50.0, b=60.0, c=70.0)
    assert rank(given, seen, limit=2).suspects == rank(given, seen).suspects[:2]


@pytest.mark.parametrize("worker_s", [0.0, -1.0, math.nan, math.inf])
def test_exposure_without_a_time_is_refused(worker_s: float) -> None:
    with pytest.raises(ValueError, match="worker_s"):
        expose([], worker_s)


def test_exposure_is_summed_by_route() -> None:
    seen = expose([Request("/a", 1.0), Request("/b", 2.0), Request("/a", 0.5)], 10.0)
    assert (seen.routes, seen.requests) == ({"/a": 1.5, "/b": 2.0}, 3)
    assert [r.duration_s for r in seen.within("/a")] == [1.0, 0.5]
    assert replace(seen, worker_s=5.0).within("/none") == ()


def test_workers_that_die_in_the_moment_of_their_first_request_can_be_ranked() -> None:
    # As far as their journals know: nothing was ever closed, and no time has passed.
    taken = [Incident([Request("/a", 0.0), Request("/b", 0.0)]), Incident([Request("/a", 0.0)])]
    ranking = rank(taken, Exposure(1.0, {}, 0, lambda route: []))
    assert ranking.suspects[0].trait == "/a"
    assert 0 < ranking.suspects[0].probability <= 1
