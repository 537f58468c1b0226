"""Which causes are at work: sets of culprits, weighed by prior and evidence.

The set without a culprit, every set of one, and every extension by one of the best sets of each
size, until a further culprit explains nothing more (a beam search).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .mixture import FIRST, FURTHER, Columns, Fit, Floats, fit, log_evidence, log_mean, log_terms

#: The probability, beforehand, that no cause but the background is at work, and that there is
#: one culprit more once there is one.
NO_CULPRIT = 0.2
ONE_MORE = 0.25

# Sets of each size that are extended, as long as the entries to read for that stay bounded: the
# more incidents there are, the clearer stands out the best set.
_BEAM = 8
_ENTRIES = 200_000
_MOST_CULPRITS = 8
# A set is forgotten when the best is e**12 times likelier.
_FLOOR = 12.0
# The search ends when the sets of one more culprit together have less than this probability.
_NEGLIGIBLE = 1e-3
# The sets that are worked out in full: nearly all of the probability, and no more than so many.
_KEPT = 0.999
_MOST_KEPT = 40


@dataclass(frozen=True)
class CulpritSet:
    """A set of causes at work beside the background, as indices of ``columns``.

    ``log_weight`` is the logarithm of its prior times its evidence; ``probability`` is filled in
    once all sets are known. ``parent`` is the set it was extended from.
    """

    members: tuple[int, ...]
    log_weight: float
    columns: Columns
    incidents: int
    parent: CulpritSet | None = None
    probability: float = 0.0

    @cached_property
    def fit(self) -> Fit:
        """The shares of the background and of the members, in their order."""
        lifts = [self.columns.dense(member, self.incidents) for member in self.members]
        return fit(np.array(lifts).reshape(len(lifts), self.incidents).T)

    @property
    def next_shape(self) -> float:
        """The shape of the prior on the share of the next culprit to join."""
        return FURTHER if self.members else FIRST

    def resampled(self, times: Floats) -> Floats:
        """What the evidence, as a logarithm, changes by when incidents count ``times`` each.

        A row of ``times`` is one resample, a column one incident.
        """
        if self.parent is None:
            return np.zeros(len(times))
        lifts = self.columns.dense(self.members[-1], self.incidents)
        terms = log_terms(lifts, self.parent.fit.density)
        shape = self.parent.next_shape
        change: Floats = log_mean(times @ terms, shape) - log_mean(terms.sum(axis=0), shape)
        return self.parent.resampled(times) + change


def search(columns: Columns, priors: Floats, incidents: int) -> list[CulpritSet]:
    """The sets that matter, the likeliest first; their probabilities sum to 1."""
    none = CulpritSet((), math.log(NO_CULPRIT), columns, incidents)
    found = [none]
    frontier = [none]
    beam = min(_BEAM, max(1, _ENTRIES // len(columns.value)))
    for size in range(1, _MOST_CULPRITS + 1):
        best = max(each.log_weight for each in found)
        larger: dict[tuple[int, ...], CulpritSet] = {}
        for parent in frontier:
            weights = parent.log_weight + _log_step(size) + np.log(priors)
            weights += log_evidence(columns, parent.fit.density, parent.next_shape)
            weights[list(parent.members)] = -np.inf
            for member in np.flatnonzero(weights > max(best, weights.max()) - _FLOOR):
                members = (*parent.members, int(member))
                key = tuple(sorted(members))
                weight = float(weights[member])
                if key not in larger or larger[key].log_weight < weight:
                    larger[key] = CulpritSet(members, weight, columns, incidents, parent)
        frontier = sorted(larger.values(), key=_by_weight)[:beam]
        before = _log_sum(found)
        found += larger.values()
        if not frontier or _log_sum(found) - before < _NEGLIGIBLE:
            break
    return _kept(found)


def _log_step(size: int) -> float:
    """The prior of sets of ``size`` over that of sets of one less, for each culprit to add.

    A set can be reached in as many orders as it has members: hence the factor.
    """
    if size == 1:
        return math.log((1 - NO_CULPRIT) * (1 - ONE_MORE) / NO_CULPRIT)
    return math.log(size * ONE_MORE)


def _kept(found: Sequence[CulpritSet]) -> list[CulpritSet]:
    ordered = sorted(found, key=_by_weight)
    total = _log_sum(ordered)
    shares = np.exp([each.log_weight - total for each in ordered])
    enough = min(int(np.searchsorted(np.cumsum(shares), _KEPT)) + 1, _MOST_KEPT)
    kept = shares[:enough] / shares[:enough].sum()
    return [
        replace(each, probability=float(share)) for each, share in zip(ordered, kept, strict=False)
    ]


def _by_weight(each: CulpritSet) -> tuple[float, tuple[int, ...]]:
    return -each.log_weight, each.members


def _log_sum(sets: Sequence[CulpritSet]) -> float:
    return float(np.logaddexp.reduce([each.log_weight for each in sets]))
