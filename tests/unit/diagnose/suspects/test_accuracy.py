"""How often the ranking is right on simulated sites, with a wide margin; docs/suspects.md has the
figures. And that the simulation is what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import isolation
from benchmarks.isolation_methods import METHODS
from benchmarks.isolation_site import Scenario, Seen, Site, Truth
from standfast.diagnose.suspects import Suspect, rank


def sites(scenario: Scenario, number: int) -> list[tuple[Seen, Truth]]:
    found = []
    for seed in range(number):
        site = Site(scenario, np.random.default_rng([20_26, seed]))
        found.append((site.run(scenario.incidents), site.truth()))
    return found


def first(seen: Seen) -> Suspect:
    return rank(seen.incidents, seen.exposure, resamples=10).suspects[0]


def test_after_ten_incidents_with_16_in_flight_the_culprit_comes_first() -> None:
    found = [(first(seen), truth) for seen, truth in sites(Scenario(), 40)]
    right = [(suspect.kind, suspect.trait) in truth.suspects for suspect, truth in found]
    # 39 in 40 are measured.
    assert sum(right) >= 34


def test_what_is_said_to_be_sure_is_right() -> None:
    found = [(first(seen), truth) for seen, truth in sites(Scenario(incidents=5), 40)]
    sure = [(s.kind, s.trait) in truth.suspects for s, truth in found if s.probability > 0.9]
    assert len(sure) >= 15
    assert sum(sure) >= 0.85 * len(sure)


def test_where_no_request_kills_hardly_anybody_is_accused() -> None:
    accused = [first(seen).probability > 0.9 for seen, _ in sites(Scenario("none"), 20)]
    assert sum(accused) <= 2


def test_of_a_route_that_kills_whatever_it_is_asked_no_part_is_accused() -> None:
    accused = 0
    for seen, _ in sites(Scenario(incidents=20), 20):
        suspects = rank(seen.incidents, seen.exposure, resamples=10).suspects
        accused += any(s.probability > 0.9 for s in suspects if s.kind not in ("route", "pair"))
    assert accused <= 2


def test_the_deadly_value_of_a_parameter_is_named() -> None:
    named = 0
    for seen, truth in sites(Scenario("parameter"), 20):
        suspects = rank(seen.incidents, seen.exposure, resamples=10).suspects
        finer = [s for s in suspects if s.kind not in ("route", "pair")]
        named += bool(finer) and (finer[0].kind, finer[0].trait) in truth.suspects
    assert named >= 16


@pytest.mark.parametrize("in_flight", [4, 32])
def test_a_simulated_worker_has_as_many_in_flight_as_was_asked(in_flight: int) -> None:
    means = [
        sum(seen.exposure.routes.values()) / seen.exposure.worker_s
        for seen, _ in sites(Scenario(in_flight=in_flight), 10)
    ]
    assert sum(means) / len(means) == pytest.approx(in_flight, rel=0.15)


@pytest.mark.parametrize("culprit", ["route", "two", "parameter", "pair"])
def test_a_simulated_culprit_is_there_when_most_workers_die(culprit: str) -> None:
    for seen, truth in sites(Scenario(culprit, incidents=20), 5):
        there = [
            any(request.route in truth.routes for request in incident.requests)
            for incident in seen.incidents
        ]
        # One death in ten is the background's.
        assert sum(there) >= 13


def test_closed_requests_are_what_the_exposure_sums() -> None:
    ((seen, _),) = sites(Scenario(incidents=3), 1)
    closed = list(seen.closed())
    assert len(closed) == seen.exposure.requests
    assert sum(r.duration_s for r in closed) == pytest.approx(sum(seen.exposure.routes.values()))


def test_the_same_seed_gives_the_same_site() -> None:
    assert [s.incidents for s, _ in sites(Scenario(), 2)] == [
        s.incidents for s, _ in sites(Scenario(), 2)
    ]


def test_the_methods_score_every_route() -> None:
    ((seen, _),) = sites(Scenario(incidents=3), 1)
    for method in METHODS.values():
        scores = method(seen)
        assert scores.shape == (len(seen.names),)
        assert np.isfinite(scores).all()


def test_scenarios_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text('[[scenario]]\nculprit = "pair"\nin_flight = 8\nbackground = 0\n[[scenario]]\n')
    assert isolation.read_scenarios(file) == [
        Scenario("pair", in_flight=8, background=0),
        Scenario(),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no [[scenario]]"),
        ("scenario = 3", "no [[scenario]]"),
        ("scenario = [3]", "scenario 1"),
        ("[[scenario]", "sites.toml"),
        ("[[scenario]]\ncolour = 1", "no such setting: colour"),
        ('[[scenario]]\nin_flight = "many"', "in_flight must be of type int"),
        ('[[scenario]]\nculprit = "me"', "culprit must be one of"),
        ("[[scenario]]\nbackground = 1.0", "background must be"),
        ("[[scenario]]\nroutes = 1", "routes must be"),
    ],
)
def test_a_wrong_scenario_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(text)
    assert isolation.main(["--scenario", str(file)]) == 2
    assert words in capsys.readouterr().err


def test_tables_and_json_show_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sites.toml"
    file.write_text("[[scenario]]\nin_flight = 4\nincidents = 3\n")
    options = ["--scenario", str(file), "--trials", "2", "--seed", "5"]
    assert isolation.main(options) == 0
    assert "| route | 4 | 3 | 100 | 10% | 0% |" in capsys.readouterr().out
    assert isolation.main([*options, "--json"]) == 0
    assert '"in_flight": 4' in capsys.readouterr().out
