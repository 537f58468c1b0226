"""What may have killed: each route, traits within a route, pairs of routes, mere load."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import NamedTuple, TypeVar

import numpy as np

from .facts import CERTAIN, Exposure, Incident, Request
from .mixture import Columns, Floats, Ints
from .traits import KINDS, traits_of

#: Closed requests of a route that are looked at, evenly spaced, to learn its traits' exposure.
SAMPLE = 5_000

#: How the prior of one culprit is divided; routes share what pairs and load leave, and within a
#: route its traits have this part.
PAIRS_PRIOR = 0.1
LOAD_PRIOR = 0.05
WITHIN_PRIOR = 0.5

# A trait of nearly all requests of a route is the route by another name.
_NEARLY_ALL = 0.9
# Of a route with so many in flight, one is there in six moments of seven.
_NEARLY_ALWAYS = 2.0
# A worker may die in the moment in which its first request begins, as far as its journal knows;
# even that one took some time.
_SHORTEST_S = 1e-3

_Key = TypeVar("_Key", str, tuple[str, str])


@dataclass(frozen=True)
class Candidate:
    """One possible cause. ``requests`` index those that have the trait, over all incidents, and
    ``weights`` are their parts in the lift of their incident. ``routes`` are those it takes: one,
    a pair, or none in particular; ``prior`` is its part of the prior of one culprit.
    """

    kind: str
    trait: str
    routes: tuple[str, ...]
    requests: Ints
    weights: Floats
    exposure_s: float
    prior: float


class _Side(NamedTuple):
    """One route of a pair in every incident: its lift, and the mean evidence of its requests."""

    lift: Floats
    evidence: Floats


class Facts:
    """Incidents and exposure as arrays: what all candidates are made from."""

    def __init__(self, incidents: Sequence[Incident], exposure: Exposure) -> None:
        self.requests: list[Request] = [r for incident in incidents for r in incident.requests]
        sizes = [len(incident.requests) for incident in incidents]
        self.count = len(sizes)
        self.incident: Ints = np.repeat(np.arange(self.count), sizes)
        self.evidence: Floats = np.clip(
            np.array([r.evidence for r in self.requests], dtype=np.float64), 0.0, CERTAIN
        )
        self.exposure = exposure
        self.worker_s = exposure.worker_s
        self.seconds: dict[str, float] = defaultdict(float, exposure.routes)
        open_s = 0.0
        for request in self.requests:
            lasted_s = max(request.duration_s, _SHORTEST_S)
            self.seconds[request.route] += lasted_s
            open_s += lasted_s
        closed_s = sum(exposure.routes.values())
        #: The mean duration of a request. One such request is added to every exposure, so that a
        #: trait that was met only once does not look infinitely rare.
        self.typical_s = (closed_s + open_s) / max(1, exposure.requests + len(self.requests))

    def routes(self) -> list[Candidate]:
        """Every route that was in flight in an incident."""
        prior = (1 - PAIRS_PRIOR - LOAD_PRIOR) / max(1, len(self.seconds))
        return [
            self._candidate("route", route, (route,), indices, self.seconds[route], prior)
            for route, indices in _grouped((r.route, i) for i, r in enumerate(self.requests))
        ]

    def load(self) -> Candidate:
        """All requests alike: deaths that follow the number in flight, whatever it is."""
        everything = range(len(self.requests))
        seconds = sum(self.seconds.values())
        return self._candidate("load", "any request", (), everything, seconds, LOAD_PRIOR)

    def pairs(self, routes: Sequence[Candidate]) -> list[Candidate]:
        """Races: two of ``routes`` in flight at once, or one of them twice.

        They are taken to meet as often as chance has it. Left out are pairs that met in one
        incident alone, for a race is a pattern, and those with a route that is nearly always
        there: that would blame the other route, and tell more of the mix of traffic than of it.
        """
        known = len(self.seconds)
        prior = PAIRS_PRIOR / max(1, known * (known + 1) // 2)
        others = len(self.requests) / self.count - 1
        usual = others / sum(self.seconds.values())
        seldom = [route for route in routes if route.exposure_s * usual < _NEARLY_ALWAYS]
        pairs = (self._pair(a, b, prior) for a, b in combinations_with_replacement(seldom, 2))
        return [pair for pair in pairs if len(np.unique(self.incident[pair.requests])) > 1]

    def within(self, route: Candidate) -> tuple[Candidate, list[Candidate]]:
        """The traits that set apart some requests of ``route``; the route keeps half its prior.

        There are none where nothing is known of the route's closed requests to compare with.
        """
        closed = self.exposure.within(route.trait)
        closed = closed[:: max(1, -(-len(closed) // SAMPLE))]
        sampled_s = sum(request.duration_s for request in closed)
        if sampled_s <= 0:
            return route, []
        scale = self.exposure.routes.get(route.trait, 0.0) / sampled_s
        seconds: dict[tuple[str, str], float] = defaultdict(float)
        for request in closed:
            _add_time(seconds, request, scale)
        for index in route.requests:
            _add_time(seconds, self.requests[index], 1.0)
        tried = Counter(kind for kind, _ in seconds)
        members = _grouped(
            (trait, int(i)) for i in route.requests for trait in traits_of(self.requests[i])
        )
        share = route.prior * WITHIN_PRIOR / len(KINDS)
        finer: dict[tuple[float, tuple[int, ...]], Candidate] = {}
        for (kind, name), indices in sorted(members, key=lambda item: KINDS.index(item[0][0])):
            exposure_s, prior = seconds[kind, name], share / tried[kind]
            if exposure_s > _NEARLY_ALL * route.exposure_s:
                continue
            # The same requests by another name, such as a parameter that has but one value.
            same = (round(exposure_s, 6), tuple(indices))
            if same in finer:
                finer[same] = replace(finer[same], prior=finer[same].prior + prior)
            else:
                finer[same] = self._candidate(
                    kind, name, route.routes, indices, exposure_s, prior, scale
                )
        return replace(route, prior=route.prior * (1 - WITHIN_PRIOR)), list(finer.values())

    def _side(self, route: Candidate) -> _Side:
        rows = self.incident[route.requests]
        lift = np.bincount(rows, route.weights, self.count)
        number = np.maximum(np.bincount(rows, minlength=self.count), 1)
        evidence = np.bincount(rows, self.evidence[route.requests], self.count)
        return _Side(np.asarray(lift), np.asarray(evidence / number))

    def _candidate(
        self,
        kind: str,
        trait: str,
        routes: tuple[str, ...],
        indices: Iterable[int],
        seconds: float,
        prior: float,
        scale: float = 1.0,
    ) -> Candidate:
        chosen: Ints = np.fromiter(indices, dtype=np.intp)
        # Of a trait not met in a sample, 1 in ``scale`` requests may have it nevertheless.
        smoothed_s = seconds + self.typical_s * max(1.0, scale)
        weights = self.evidence[chosen] * (self.worker_s / smoothed_s)
        return Candidate(kind, trait, routes, chosen, weights, seconds, prior)

    def _pair(self, a: Candidate, b: Candidate, prior: float) -> Candidate:
        """The race of ``a`` and ``b``, with half the blame of each death on either side.

        That the site was busy when the worker died speaks for a pair no more than for a route:
        else deaths in a burst of traffic would all be races. So the lift is that of one route
        times how much more of the other was among the rest in flight than is on average.
        """
        others = np.maximum(np.bincount(self.incident, minlength=self.count) - 1, 1)
        usual = sum(self.seconds.values()) / self.worker_s
        first, second = self._side(a), self._side(b)
        if a is b:
            requests = a.requests
            weights = a.weights * (first.lift[self.incident[requests]] - a.weights)
        else:
            # Where evidence points to one side, so does the blame.
            total = np.maximum(first.evidence + second.evidence, 1e-300)
            requests = np.concatenate([a.requests, b.requests])
            weights = np.concatenate(
                [
                    a.weights * (second.lift * first.evidence / total)[self.incident[a.requests]],
                    b.weights * (first.lift * second.evidence / total)[self.incident[b.requests]],
                ]
            )
        weights = weights * (usual / others)[self.incident[requests]]
        there = weights > 1e-9
        together_s = a.exposure_s * b.exposure_s / self.worker_s
        routes = tuple(sorted([a.trait, b.trait]))
        return Candidate(
            "pair",
            " + ".join(routes),
            routes,
            requests[there],
            weights[there],
            together_s,
            prior,
        )


def columns_of(candidates: Sequence[Candidate], incident: Ints) -> Columns:
    """The lifts of ``candidates``, each of which was in flight in some incident."""
    starts, rows, values, total = [], [], [], 0
    for candidate in candidates:
        where, inverse = np.unique(incident[candidate.requests], return_inverse=True)
        starts.append(total)
        rows.append(where)
        values.append(np.bincount(inverse, candidate.weights))
        total += len(where)
    return Columns(np.array(starts, dtype=np.intp), np.concatenate(rows), np.concatenate(values))


def _add_time(seconds: dict[tuple[str, str], float], request: Request, scale: float) -> None:
    """Adds the time that ``request`` had each of its traits."""
    for trait in traits_of(request):
        seconds[trait] += request.duration_s * scale


def _grouped(items: Iterable[tuple[_Key, int]]) -> list[tuple[_Key, list[int]]]:
    groups: dict[_Key, list[int]] = {}
    for key, index in items:
        groups.setdefault(key, []).append(index)
    return sorted(groups.items())
