"""A simulated site that crashes, for ``benchmarks.isolation``.

Each worker is a number of slots that are busy four fifths of the time with requests whose routes
follow Zipf's law and whose durations are log-normal. A culprit kills at a random moment of its run,
by a constant hazard; other deaths strike at random. A worker that lives long enough is recycled.
Of all this the methods see what a watcher sees: closed requests, and what was in flight at a death.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from standfast.diagnose.suspects import Exposure, Incident, Request

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CULPRITS = ("route", "two", "parameter", "pair", "none")

_BUSY = 0.8
_VALUES = 10
_CLIENTS = 200
# Closed requests of a route that are shown for the search within it.
_SAMPLE = 1_000
# Random moments of each life at which spectrum methods see what passed.
_MOMENTS = 20
# A race needs two routes that meet: each is in flight at least this often.
_MET = 0.05


@dataclass(frozen=True)
class Scenario:
    """One kind of site, and how many incidents it is watched for.

    ``in_flight`` is the mean in one worker, ``background`` the part of the deaths that no request
    causes, ``culprit`` one of ``CULPRITS``: any route with the same chance, two routes, one value
    in ten of a route's parameter, two routes that meet, or nobody. ``quiet`` is the part of the
    time in which workers serve nobody at all.
    """

    culprit: str = "route"
    in_flight: int = 16
    incidents: int = 10
    background: float = 0.1
    routes: int = 100
    zipf: float = 1.0
    requests_per_crash: float = 2_000
    quiet: float = 0.0

    def __post_init__(self) -> None:
        if self.culprit not in CULPRITS:
            raise ValueError(f"culprit must be one of {', '.join(CULPRITS)}")
        for name in ("in_flight", "incidents", "routes", "requests_per_crash"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("background", "quiet"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and less than 1")
        if self.routes < 2:
            raise ValueError("routes must be at least 2")


class Truth(NamedTuple):
    """Kind and trait of the suspects that are guilty, and the routes that are involved."""

    suspects: frozenset[tuple[str, str]]
    routes: frozenset[str]


@dataclass
class Seen:
    """What is seen of a site: for our ranking, and as snapshots for the spectrum methods.

    ``passed`` counts for each route the moments without a death at which it was in flight,
    ``moments`` is their number. ``closed`` gives all closed requests.
    """

    incidents: list[Incident]
    exposure: Exposure
    passed: Ints
    moments: int
    names: list[str]
    closed: Callable[[], Iterator[Request]]


class _Log:
    """Closed requests of all lives: route, duration, parameter value and client of each."""

    def __init__(self) -> None:
        self.parts: list[tuple[Ints, Floats, Ints, Ints]] = []
        self.worker_s = 0.0

    def columns(self) -> tuple[Ints, Floats, Ints, Ints]:
        """The four facts, each as one array."""
        route, ran_s, value, client = (
            np.concatenate(part) for part in zip(*self.parts, strict=True)
        )
        return route, ran_s, value, client


class Site:
    """One site with its own routes and culprit, drawn at random."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self.scenario, self.rng = scenario, rng
        self.names = [f"/r{n}" for n in range(scenario.routes)]
        popularity = np.arange(1, scenario.routes + 1) ** -scenario.zipf
        self.popularity: Floats = popularity / popularity.sum()
        self.median_s: Floats = 0.1 * np.exp(rng.normal(0.0, 1.0, scenario.routes))
        self.spread = 0.8
        self.slots = max(1, round(scenario.in_flight / _BUSY))
        mean_s = self.median_s * math.exp(self.spread**2 / 2)
        overall_s = float(mean_s @ self.popularity)
        self.idle_s = overall_s * (1 - _BUSY) / _BUSY
        #: Mean number of each route in flight.
        self.present: Floats = self.slots * _BUSY * self.popularity * mean_s / overall_s
        self.deaths_per_s = self.slots * _BUSY / overall_s / scenario.requests_per_crash
        self._choose(mean_s)

    def _choose(self, mean_s: Floats) -> None:
        kind, rng = self.scenario.culprit, self.rng
        count = {"none": 0, "two": 2, "pair": 2}.get(kind, 1)
        eligible = np.arange(self.scenario.routes)
        if kind == "pair":
            often = np.flatnonzero(1 - np.exp(-self.present) >= _MET)
            eligible = often if len(often) >= 2 else np.argsort(-self.present)[:2]
        self.culprits = rng.choice(eligible, count, replace=False)
        self.value = int(rng.integers(_VALUES)) if kind == "parameter" else None
        rate = self.deaths_per_s * (1 - self.scenario.background)
        present = self.present[self.culprits]
        if kind == "pair":
            self.hazard = np.array([rate / float(present.prod())])
            self.background_per_s = self.deaths_per_s * self.scenario.background
            return
        part = 1.0 if self.value is None else 1 / _VALUES
        # None so high that most requests of the route would die; the background keeps its part.
        hazard = rate / max(count, 1) / (present * part)
        self.hazard = np.minimum(hazard, 1 / mean_s[self.culprits])
        killed = float((self.hazard * present * part).sum()) / (1 - self.scenario.background)
        self.background_per_s = killed * self.scenario.background if count else self.deaths_per_s

    def truth(self) -> Truth:
        """Who is guilty."""
        routes = [self.names[c] for c in self.culprits]
        suspects = {("route", route) for route in routes}
        if self.scenario.culprit == "pair":
            suspects = {("pair", " + ".join(sorted(routes)))}
        if self.value is not None:
            suspects.add(("value", f"{routes[0]}: q=v{self.value}"))
        return Truth(frozenset(suspects), frozenset(routes))

    def run(self, incidents: int) -> Seen:
        """Lets workers live until so many have died."""
        log, deaths = _Log(), list[Incident]()
        passed = np.zeros(self.scenario.routes, dtype=np.intp)
        moments = 0
        while len(deaths) < incidents:
            death = self._live(log, passed)
            moments += _MOMENTS
            if death is not None:
                deaths.append(death)

        def closed() -> Iterator[Request]:
            return map(self._request, *(column.tolist() for column in log.columns()))

        return Seen(deaths, self._exposure(log), passed, moments, self.names, closed)

    def _live(self, log: _Log, passed: Ints) -> Incident | None:
        """One worker from its start to its death, or to its recycling: then None."""
        rng, scenario = self.rng, self.scenario
        each = max(10, math.ceil(3 * scenario.requests_per_crash / self.slots))
        shape = (self.slots, each)
        route = rng.choice(scenario.routes, size=shape, p=self.popularity)
        ran_s = self.median_s[route] * np.exp(rng.normal(0.0, self.spread, shape))
        idle = rng.exponential(self.idle_s, shape) if self.idle_s else np.zeros(shape)
        end = np.cumsum(ran_s + idle, axis=1)
        begin = end - ran_s
        value, client = rng.integers(_VALUES, size=shape), rng.integers(_CLIENTS, size=shape)
        horizon = float(end[:, -1].min())
        death = self._killed_at(route, begin, end, value, horizon)
        last = min(death, horizon)
        closed = end <= last
        log.parts.append((route[closed], ran_s[closed], value[closed], client[closed]))
        log.worker_s += last
        for moment in rng.uniform(0.0, last, _MOMENTS):
            passed[np.unique(route[(begin <= moment) & (moment < end)])] += 1
        cut = (begin <= last) & ~closed
        if death > horizon:
            # Recycled: what was in flight is let finish.
            log.parts.append((route[cut], ran_s[cut], value[cut], client[cut]))
            log.worker_s += float((end[cut] - last).max(initial=0.0))
            return None
        columns = (route[cut], last - begin[cut], value[cut], client[cut])
        return Incident([self._request(*each) for each in zip(*columns, strict=True)])

    def _killed_at(
        self, route: Ints, begin: Floats, end: Floats, value: Ints, horizon: float
    ) -> float:
        rng, background = self.rng, self.background_per_s
        death = rng.exponential(1 / background) if background else math.inf
        if self.scenario.culprit == "pair":
            first, second = (route == c for c in self.culprits)
            since = np.maximum.outer(begin[first], begin[second])
            until = np.minimum.outer(end[first], end[second])
            since, until = since[since < until], until[since < until]
            return min(death, _first_death(since, until, self.hazard[0], rng))
        for culprit, hazard in zip(self.culprits, self.hazard, strict=True):
            guilty = route == culprit
            if self.value is not None:
                guilty &= value == self.value
            death = min(death, _first_death(begin[guilty], end[guilty], hazard, rng))
        return death

    def _request(self, route: int, ran_s: float, value: int, client: int) -> Request:
        return Request(
            self.names[route],
            float(ran_s),
            parameters=(("q", f"v{value}"), ("page", "1")),
            client=f"10.0.0.{client}",
            method="GET",
        )

    def _exposure(self, log: _Log) -> Exposure:
        route, ran_s, value, client = log.columns()
        seconds = np.bincount(route, ran_s, self.scenario.routes)
        met = np.bincount(route, minlength=self.scenario.routes) > 0

        def within(name: str) -> list[Request]:
            own = np.flatnonzero(route == self.names.index(name))
            own = own[:: max(1, len(own) // _SAMPLE)]
            columns = (route[own], ran_s[own], value[own], client[own])
            return [self._request(*each) for each in zip(*columns, strict=True)]

        routes = {self.names[n]: float(seconds[n]) for n in np.flatnonzero(met)}
        return Exposure(log.worker_s / (1 - self.scenario.quiet), routes, len(route), within)


def _first_death(begin: Floats, end: Floats, hazard: float, rng: np.random.Generator) -> float:
    """The first of the deaths that strike in these stretches of time, or never."""
    strikes = begin + rng.exponential(1 / hazard, len(begin))
    return float(strikes[strikes < end].min(initial=math.inf))
