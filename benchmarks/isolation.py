"""``python -m benchmarks.isolation``: which method finds the culprit among many in flight.

Simulated sites crash, and each method names its first suspect. Everything follows from ``--seed``.
The whole run takes about ten minutes on one core; ``--only`` and ``--scenario`` run parts of it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from standfast.diagnose.suspects import Ranking, expose, rank

from .isolation_methods import METHODS
from .isolation_page import tables
from .isolation_site import Scenario, Site, Truth
from .machine import describe

PARTS = ("accuracy", "calibration", "speed")

SCENARIOS = (
    *(Scenario(in_flight=number) for number in (1, 4, 8, 16, 32, 64)),
    *(Scenario(in_flight=16, incidents=number) for number in (3, 5, 20)),
    *(Scenario(in_flight=32, incidents=number) for number in (3, 5, 20)),
    Scenario(background=0.5),
    Scenario(quiet=0.9),
    Scenario(routes=20),
    Scenario(routes=500),
    Scenario("two", incidents=20),
    Scenario("parameter"),
    Scenario("pair", incidents=20),
    Scenario("none"),
)

#: Bounds of what is said, for the table of reliability.
BINS = (0.0, 0.05, 0.15, 0.35, 0.65, 0.85, 0.95, 0.99, 1.0)

# Sites for the table of reliability: this many for each trial of an accuracy cell.
_POPULATION = 5
_SURE = 0.9


class Cell(NamedTuple):
    """How often each method's first suspect was right in ``trials`` sites of one kind.

    ``within`` is how often our first suspect within a route was the true one, ``accused`` how
    often a first suspect that is innocent was given 90 % or more.
    """

    scenario: Scenario
    trials: int
    right: dict[str, float]
    within: float
    accused: float


@dataclass
class Bin:
    """Suspects that were given a probability from ``low`` up to ``high``."""

    low: float
    high: float
    said: float = 0.0
    right: int = 0
    number: int = 0


def accuracy(scenario: Scenario, trials: int, seed: int) -> Cell:
    """Runs ``trials`` sites of one kind and asks every method."""
    right = dict.fromkeys([*METHODS, "ours"], 0.0)
    within = accused = 0
    for trial in range(trials):
        site = Site(scenario, np.random.default_rng([seed, trial]))
        seen, truth = site.run(scenario.incidents), site.truth()
        guilty = np.array([name in truth.routes for name in seen.names])
        for name, method in METHODS.items():
            scores = method(seen)
            # Among equals the first is a matter of chance.
            right[name] += float(guilty[scores == scores.max()].mean())
        ranking = rank(seen.incidents, seen.exposure)
        correct = _is_right(ranking, truth)
        right["ours"] += correct
        within += _is_right_within(ranking, truth)
        accused += (
            not correct
            and ranking.suspects[:1] != []
            and (ranking.suspects[0].probability >= _SURE)
        )
    shares = {name: number / trials for name, number in right.items()}
    return Cell(scenario, trials, shares, within / trials, accused / trials)


def calibration(sites: int, seed: int) -> list[Bin]:
    """Whether what is said at a probability is right as often, over very different sites."""
    bins = [Bin(low, high) for low, high in pairwise(BINS)]
    for trial in range(sites):
        rng = np.random.default_rng([seed, 1, trial])
        scenario = Scenario(
            culprit=str(
                rng.choice(
                    ["route", "two", "parameter", "pair", "none"], p=[0.4, 0.15, 0.15, 0.1, 0.2]
                )
            ),
            in_flight=int(rng.choice([4, 8, 16, 32, 64])),
            incidents=int(rng.choice([3, 5, 10, 20])),
            background=float(rng.uniform(0.0, 0.5)),
        )
        site = Site(scenario, rng)
        seen, truth = site.run(scenario.incidents), site.truth()
        for suspect in rank(seen.incidents, seen.exposure, limit=1_000, resamples=1).suspects:
            if suspect.kind in ("route", "pair"):
                place = np.searchsorted(BINS, suspect.probability, side="right") - 1
                found = bins[min(int(place), len(bins) - 1)]
                found.said += suspect.probability
                found.right += (suspect.kind, suspect.trait) in truth.suspects
                found.number += 1
    return bins


def speed(seed: int) -> dict[str, float]:
    """Seconds to add up one million closed requests, and to rank with 1,000 incidents."""
    site = Site(Scenario(requests_per_crash=1_100), np.random.default_rng([seed, 2]))
    seen = site.run(1_000)
    requests = list(islice(seen.closed(), 1_000_000))
    begun = time.perf_counter()
    exposure = expose(requests, seen.exposure.worker_s)
    added = time.perf_counter()
    ranking = rank(seen.incidents, exposure)
    ranked = time.perf_counter()
    return {
        "requests": len(requests),
        "incidents": len(seen.incidents),
        "in_flight": sum(len(incident.requests) for incident in seen.incidents),
        "right": _is_right(ranking, site.truth()),
        "expose_s": added - begun,
        "rank_s": ranked - added,
        "total_s": ranked - begun,
    }


def _is_right(ranking: Ranking, truth: Truth) -> bool:
    first = ranking.suspects[:1]
    return bool(first) and (first[0].kind, first[0].trait) in truth.suspects


def _is_right_within(ranking: Ranking, truth: Truth) -> bool:
    finer = [s for s in ranking.suspects if s.kind not in ("route", "pair")][:1]
    return bool(finer) and (finer[0].kind, finer[0].trait) in truth.suspects


def wilson(share: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    centre = share + z * z / (2 * trials)
    margin = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def read_scenarios(file: Path) -> list[Scenario]:
    """The ``[[scenario]]`` tables of a TOML file. Raises ValueError where it is not right."""
    try:
        tables = tomllib.loads(file.read_text("utf-8")).get("scenario", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file}: {error}") from None
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"{file}: no [[scenario]] in it")
    types = {field.name: type(field.default) for field in fields(Scenario)}
    scenarios = []
    for number, table in enumerate(tables, 1):
        try:
            if not isinstance(table, dict):
                raise ValueError("it is not a table")
            for name, value in table.items():
                if name not in types:
                    raise ValueError(f"no such setting: {name}; there are {', '.join(types)}")
                if not isinstance(value, (int, float) if types[name] is float else types[name]):
                    raise ValueError(f"{name} must be of type {types[name].__name__}")
            scenarios.append(Scenario(**table))
        except ValueError as error:
            raise ValueError(f"{file}: scenario {number}: {error}") from None
    return scenarios


def measure(
    parts: Sequence[str], scenarios: Sequence[Scenario], trials: int, seed: int
) -> dict[str, Any]:
    """All the figures that were asked for, ready for JSON."""
    figures: dict[str, Any] = {"machine": describe()._asdict(), "seed": seed}
    if "accuracy" in parts:
        figures["accuracy"] = []
        for number, scenario in enumerate(scenarios, 1):
            cell = accuracy(scenario, trials, seed)
            low_high = wilson(cell.right["ours"], trials)
            row = {**cell._asdict(), "scenario": asdict(scenario), "interval": low_high}
            figures["accuracy"].append(row)
            _say(f"[{number}/{len(scenarios)}] {scenario}: {cell.right['ours']:.3f}")
    if "calibration" in parts:
        _say(f"calibration: {trials * _POPULATION} sites")
        figures["calibration"] = [
            {
                **asdict(each),
                "said": each.said / max(1, each.number),
                "right": each.right / max(1, each.number),
                "interval": wilson(each.right / max(1, each.number), max(1, each.number)),
            }
            for each in calibration(trials * _POPULATION, seed)
        ]
    if "speed" in parts:
        _say("speed: a million requests")
        figures["speed"] = speed(seed)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit code."""
    options = _parser().parse_args(arguments)
    parts = options.only or (["accuracy"] if options.scenario else list(PARTS))
    try:
        scenarios = read_scenarios(options.scenario) if options.scenario else list(SCENARIOS)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    figures = measure(parts, scenarios, options.trials, options.seed)
    print(json.dumps(figures, indent=2) if options.json else "\n".join(tables(figures)))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="where all chance comes from")
    parser.add_argument(
        "--trials",
        type=_at_least_one,
        default=300,
        help=f"sites for each row; reliability takes {_POPULATION} times as many",
    )
    parser.add_argument(
        "--scenario",
        type=Path,
        metavar="FILE",
        help="a TOML file whose [[scenario]] tables set any of "
        + ", ".join(f"{field.name} ({field.default})" for field in fields(Scenario)),
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
