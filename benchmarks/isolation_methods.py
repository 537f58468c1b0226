"""The methods that ``benchmarks.isolation`` sets side by side: from what is seen to a score.

The spectrum methods of fault localisation take a route for a program element that a run covers: a
failed run is an incident, a passed run a random moment without one, and covered is what is in
flight. Formulas: Jones and Harrold, 2005 (Tarantula); Abreu et al., 2006 (Ochiai); Wong et al.,
2014 (D*, with the star at 2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .isolation_site import Floats, Seen

#: The score of every route, in the order of ``Seen.names``; the highest is the first suspect.
Method = Callable[[Seen], Floats]


def count(seen: Seen) -> Floats:
    """The plain list of unfinished requests, the most frequent route first."""
    return np.asarray(_unfinished(seen).sum(axis=0))


def tarantula(seen: Seen) -> Floats:
    """The share of failed runs that cover it, over that plus the share of passed ones."""
    failed, passed = _covered(seen).mean(axis=0), seen.passed / seen.moments
    return np.asarray(failed / np.maximum(failed + passed, 1e-12))


def ochiai(seen: Seen) -> Floats:
    """The cosine of covering and failing."""
    failed = _covered(seen).sum(axis=0)
    total = len(seen.incidents) * (failed + seen.passed)
    return np.asarray(failed / np.sqrt(np.maximum(total, 1e-12)))


def dstar(seen: Seen) -> Floats:
    """Failed runs that cover it, squared, over passed ones that do and failed ones that do not."""
    failed = _covered(seen).sum(axis=0)
    others = seen.passed + len(seen.incidents) - failed
    return np.asarray(failed**2 / np.maximum(others, 1e-12))


METHODS: dict[str, Method] = {
    "count": count,
    "tarantula": tarantula,
    "ochiai": ochiai,
    "dstar": dstar,
}


def _unfinished(seen: Seen) -> Floats:
    """How many of each route (column) were in flight in each incident (row)."""
    position = {name: index for index, name in enumerate(seen.names)}
    table = np.zeros((len(seen.incidents), len(seen.names)))
    for row, incident in zip(table, seen.incidents, strict=True):
        for request in incident.requests:
            row[position[request.route]] += 1
    return table


def _covered(seen: Seen) -> Floats:
    return np.asarray(_unfinished(seen) > 0, dtype=np.float64)
