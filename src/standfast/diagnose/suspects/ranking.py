"""The ranking of suspects, and for each incident who did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .advice import Contender, advise
from .candidates import Candidate, Facts, columns_of
from .facts import CERTAIN, Exposure, Incident, Request
from .findings import Ranking, Suspect
from .mixture import FIRST, Floats, log_evidence
from .search import CulpritSet, search

#: The part of the resamples that lies between ``low`` and ``high``.
INTERVAL = 0.9

# Among so many routes pairs are tried, and within them traits.
_BEST = 12
_WORTH_A_LOOK = 0.05
_NOT_WORTH_TELLING = 0.001
# How probable a route is of which a request is known to have killed.
_KNOWN = 0.99


def rank(
    incidents: Sequence[Incident], exposure: Exposure, *, limit: int = 20, resamples: int = 200
) -> Ranking:
    """Ranks what may have killed the workers, ``limit`` suspects at most.

    The result does not depend on the order of incidents or requests. ``resamples`` is how often
    the incidents are resampled for the intervals.
    """
    facts = Facts(incidents, exposure)
    if not facts.requests:
        return Ranking([], [[] for _ in incidents], *advise([], 1.0, facts))
    weighed = _weigh(facts)
    resampled = weighed.resampled(_resample_counts(incidents, resamples))
    found = [
        _suspect(kind, trait, members, weighed, resampled)
        for (kind, trait), members in weighed.groups().items()
    ]
    certain = [[r.route for r in i.requests if r.evidence >= CERTAIN] for i in incidents]
    known = Counter(named[0] for named in certain if len(named) == 1)
    found = [_convicted(suspect, known) for suspect in found]
    found = sorted((s for s in found if s.probability >= _NOT_WORTH_TELLING), key=_order)
    suspects = [replace(suspect, rank=n) for n, suspect in enumerate(found[:limit], 1)]
    contenders = weighed.contenders(suspects)
    # Routes that are known to have killed do not stand against each other.
    contenders = contenders[:1] + [one for one in contenders[1:] if one.trait not in known]
    open_share = max(1 - known.total() / facts.count, 0.0)
    advice = advise(contenders, weighed.blameless() * open_share, facts)
    return Ranking(suspects, weighed.culprits(), *advice)


def _convicted(suspect: Suspect, known: Counter[str]) -> Suspect:
    """Evidence of certainty decides, whatever else would explain the incidents as well."""
    if suspect.kind != "route" or suspect.trait not in known:
        return suspect
    return replace(
        suspect,
        probability=max(suspect.probability, _KNOWN),
        low=max(suspect.low, _KNOWN),
        high=max(suspect.high, _KNOWN),
    )


@dataclass(frozen=True)
class _Weighed:
    """The candidates and what the search says of them; the members of ``sets`` index them."""

    facts: Facts
    candidates: list[Candidate]
    sets: list[CulpritSet]

    def groups(self) -> dict[tuple[str, str], set[int]]:
        """The candidates that make up each suspect: a route is guilty when a part of it is."""
        groups: dict[tuple[str, str], set[int]] = defaultdict(set)
        for index, candidate in enumerate(self.candidates):
            if candidate.kind in ("route", "pair"):
                groups[candidate.kind, candidate.trait].add(index)
            elif candidate.kind != "load":
                route = candidate.routes[0]
                groups["route", route].add(index)
                groups[candidate.kind, f"{route}: {candidate.trait}"].add(index)
        return groups

    def contenders(self, suspects: Sequence[Suspect]) -> list[Contender]:
        """Whole routes and pairs; after the first, each as what may be to blame in its stead."""
        groups = self.groups()
        routes = {(c.kind, c.trait): c.routes for c in self.candidates}
        contenders: list[Contender] = []
        first: set[int] = set()
        for each in suspects:
            if each.kind in ("route", "pair"):
                members = groups[each.kind, each.trait]
                instead = sum(
                    s.probability
                    for s in self.sets
                    if first.isdisjoint(s.members) and not members.isdisjoint(s.members)
                )
                of = routes[each.kind, each.trait]
                probability = instead if first else each.probability
                contenders.append(Contender(each.trait, of, probability, each.explains))
                first = first or members
        return contenders[:1] + sorted(contenders[1:], key=lambda c: -c.probability)

    def blameless(self) -> float:
        """The probability that deaths strike blindly, at any time or as the load has it."""
        return sum(
            each.probability
            for each in self.sets
            if all(self.candidates[member].kind == "load" for member in each.members)
        )

    def resampled(self, times: Floats) -> Floats:
        """The probability of each set (row) in each resample (column)."""
        logs = np.array([np.log(each.probability) + each.resampled(times) for each in self.sets])
        return np.asarray(np.exp(logs - np.logaddexp.reduce(logs, axis=0)))

    def explains(self, members: set[int]) -> float:
        """The number of incidents that ``members`` are expected to have caused."""
        return sum(
            each.probability * float(count)
            for each in self.sets
            for member, count in zip(each.members, each.fit.counts[1:], strict=True)
            if member in members
        )

    def culprits(self) -> list[list[float]]:
        """For each incident, the probability of each request to have caused it."""
        incident = self.facts.incident
        blame = np.zeros(len(incident))
        for each in self.sets:
            for member, share in zip(each.members, each.fit.shares[1:], strict=True):
                candidate = self.candidates[member]
                density = each.fit.density[incident[candidate.requests]]
                parts = each.probability * share * candidate.weights / density
                np.add.at(blame, candidate.requests, parts)
        bounds = np.searchsorted(incident, np.arange(self.facts.count + 1)).tolist()
        values = blame.tolist()
        return [values[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def _weigh(facts: Facts) -> _Weighed:
    """First whole routes, pairs and load; then again with what is within the likeliest routes."""
    routes = facts.routes()
    alone = log_evidence(columns_of(routes, facts.incident), np.ones(facts.count), FIRST)
    best: list[int] = np.argsort(-alone, kind="stable")[:_BEST].tolist()
    others = [facts.load(), *facts.pairs([routes[index] for index in best])]
    coarse = _search(facts, [*routes, *others])
    likely = dict.fromkeys(best, 0.0)
    for each in coarse.sets:
        for member in each.members:
            if member < len(routes):
                likely[member] = likely.get(member, 0.0) + each.probability
    # Where no whole route stands out, a part of one may.
    open_question = coarse.blameless() >= _WORTH_A_LOOK
    finer: list[Candidate] = []
    for member, probability in likely.items():
        if open_question or probability >= _WORTH_A_LOOK:
            routes[member], found = facts.within(routes[member])
            finer += found
    return _search(facts, [*routes, *others, *finer])


def _search(facts: Facts, candidates: list[Candidate]) -> _Weighed:
    priors = np.array([candidate.prior for candidate in candidates])
    columns = columns_of(candidates, facts.incident)
    return _Weighed(facts, candidates, search(columns, priors, facts.count))


def _suspect(
    kind: str, trait: str, members: set[int], weighed: _Weighed, resampled: Floats
) -> Suspect:
    """What is known of one suspect, except its rank."""
    guilty = [not members.isdisjoint(each.members) for each in weighed.sets]
    probability = sum(e.probability for e, is_in in zip(weighed.sets, guilty, strict=True) if is_in)
    tail = 100 * (1 - INTERVAL) / 2
    low, high = np.percentile(resampled[guilty].sum(axis=0), [tail, 100 - tail]).tolist()
    # A whole route comes before its parts.
    whole = weighed.candidates[min(members)]
    return Suspect(
        rank=0,
        kind=kind,
        trait=trait,
        probability=min(1.0, probability),
        low=min(low, probability),
        high=min(1.0, max(high, probability)),
        incidents=len(np.unique(weighed.facts.incident[whole.requests])),
        exposure_s=whole.exposure_s,
        explains=weighed.explains(members),
    )


def _order(suspect: Suspect) -> tuple[float, float, bool, str, str]:
    """Likeliest first; among the equally likely what explains most, and wholes before parts."""
    return (
        -round(suspect.probability, 2),
        -round(suspect.explains, 6),
        suspect.kind != "route",
        suspect.kind,
        suspect.trait,
    )


def _resample_counts(incidents: Sequence[Incident], resamples: int) -> Floats:
    """How often each incident counts in each resample: Rubin's Bayesian bootstrap (1981).

    Always the same for the same incidents, in whatever order they come.
    """
    keys = [sorted(map(_key, incident.requests)) for incident in incidents]
    order = sorted(range(len(incidents)), key=keys.__getitem__)
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(order)), resamples) * len(order)
    times = np.empty_like(drawn)
    times[:, order] = drawn
    return times


def _key(request: Request) -> Request:
    """The request, made comparable with others."""
    return request if request.hour is not None else request._replace(hour=-1)
