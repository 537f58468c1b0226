"""Competing risks as a mixture: which share of the incidents each cause explains.

Deaths from a cause with hazard h and exposure E come as a Poisson process with h * E deaths
expected. Given the number of deaths, an incident is a draw from a mixture over the causes: the
shares are h * E over their sum, and the density of an incident under a cause, relative to the
background, is its *lift*: how many times more of the cause was in flight than is on average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Incidents that each cause is given beforehand: the shape of the Gamma prior on its hazard, less
#: one. It keeps a share that was fitted to few incidents away from 0 and 1.
PSEUDO_INCIDENTS = 1.0

#: The shapes of the Beta(shape, 1) priors on the share of a cause that joins a mixture: the first
#: culprit of all explains three in four incidents on average, of a further one nothing is known.
FIRST = 3.0
FURTHER = 1.0

_ROUNDS = 200
# Entries that are worked on at once: bounds the memory, whatever the number of incidents.
_BLOCK = 1 << 16
_NODES = 64
# The midpoint rule in the angle whose squared sine is the share: dense where shares near 0 and 1
# change the likelihood fast.
_ANGLES = (np.arange(_NODES) + 0.5) * (np.pi / 2 / _NODES)
SHARES: Floats = np.sin(_ANGLES) ** 2
_LOG_WEIGHTS: Floats = np.log(2 * np.sin(_ANGLES) * np.cos(_ANGLES) * (np.pi / 2 / _NODES))


class Fit(NamedTuple):
    """``shares`` and the expected ``counts`` of incidents, background first.

    ``density`` is of each incident, relative to the background alone. ``trace`` is the logarithm
    of likelihood times prior after each round of EM.
    """

    shares: Floats
    counts: Floats
    density: Floats
    trace: list[float]


def fit(lifts: Floats) -> Fit:
    """Fits the shares of the background and of some causes by expectation maximisation.

    ``lifts`` has a row for each incident and a column for each cause. Source: Dempster, Laird
    and Rubin, 1977, section 4.3 (finite mixtures), with the prior's incidents added in the M-step.
    """
    densities = np.hstack([np.ones((len(lifts), 1)), lifts])
    causes = densities.shape[1]
    shares = np.full(causes, 1 / causes)
    trace: list[float] = []
    while True:
        density = densities @ shares
        trace.append(float(np.log(density).sum() + PSEUDO_INCIDENTS * np.log(shares).sum()))
        counts = (densities / density[:, None]).sum(axis=0) * shares
        if len(trace) > _ROUNDS or (len(trace) > 1 and trace[-1] - trace[-2] < 1e-6):
            return Fit(shares, counts, density, trace)
        shares = (counts + PSEUDO_INCIDENTS) / (len(lifts) + PSEUDO_INCIDENTS * causes)


class Columns(NamedTuple):
    """The lifts of many causes, without the zeros: entry e is ``value[e]`` in incident
    ``incident[e]``, and the entries of cause c begin at ``start[c]``. No cause is without entries.
    """

    start: Ints
    incident: Ints
    value: Floats

    def dense(self, cause: int, incidents: int) -> Floats:
        """The lift of one cause in every incident."""
        end = self.start[cause + 1] if cause + 1 < len(self.start) else len(self.value)
        span = slice(self.start[cause], end)
        lifts = np.zeros(incidents)
        lifts[self.incident[span]] = self.value[span]
        return lifts


def log_evidence(columns: Columns, density: Floats, shape: float) -> Floats:
    """For each cause, the log Bayes factor of adding it to a mixture of that ``density``.

    The share of the new cause is unknown: it is integrated out over a Beta(``shape``, 1) prior.
    """
    ends = np.append(columns.start[1:], len(columns.value))
    nobody = np.log1p(-SHARES)
    likelihood = np.empty((len(columns.start), _NODES))
    first = 0
    while first < len(ends):
        begin = columns.start[first]
        last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK, side="right")))
        span = slice(begin, ends[last - 1])
        lifts = columns.value[span] / density[columns.incident[span]]
        # The incidents without an entry are added below as if they were all.
        entries = np.log1p(np.outer(lifts - 1, SHARES)) - nobody
        likelihood[first:last] = np.add.reduceat(entries, columns.start[first:last] - begin)
        first = last
    return log_mean(likelihood + len(density) * nobody, shape)


def log_terms(lifts: Floats, density: Floats) -> Floats:
    """The log-likelihood ratio that each incident (row) adds at each of ``SHARES`` (column)."""
    return np.log1p(np.outer(lifts / density - 1, SHARES))


def log_mean(likelihood: Floats, shape: float) -> Floats:
    """The logarithm of a likelihood's mean over the shares, along the last axis of its log.

    The shares are distributed as Beta(``shape``, 1).
    """
    total = likelihood + (_LOG_WEIGHTS + np.log(shape) + (shape - 1) * np.log(SHARES))
    top = total.max(axis=-1, keepdims=True)
    result: Floats = top[..., 0] + np.log(np.exp(total - top).sum(axis=-1))
    return result
