"""Whether the data suffice, and how many more incidents would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .candidates import Facts
from .mixture import PSEUDO_INCIDENTS, Floats

#: The probability from which on a suspect counts as found.
ENOUGH = 0.95

# The number of incidents that is said suffices in four cases of five: so many standard deviations.
_CONFIDENCE = 0.84
# Beyond so many incidents, waiting for more is no advice.
_PATIENCE = 100
_DRAWS = 4_000


class Contender(NamedTuple):
    """A whole route or a pair of routes, as a suspect. ``explains`` is in incidents."""

    trait: str
    routes: tuple[str, ...]
    probability: float
    explains: float


class Advice(NamedTuple):
    """Whether the incidents suffice, in one sentence for people, and how many ``more`` would.

    None stands for more than it makes sense to wait for. The sentence quotes traits, whose texts
    are the client's and not to be trusted.
    """

    statement: str
    more: int | None


def advise(contenders: Sequence[Contender], blameless: float, facts: Facts) -> Advice:
    """What to make of the ``contenders``, which come with the best first.

    The others' probabilities are of being to blame in its stead; ``blameless`` is the probability
    that deaths strike blindly.
    """
    if not facts.requests:
        return Advice("No incident had a request in flight, so there is nothing to suspect.", None)
    if not contenders or blameless >= ENOUGH:
        return Advice("The incidents look as if they struck blindly, whatever was in flight.", 0)
    first = contenders[0]
    if first.probability >= ENOUGH:
        return Advice(f"The incidents suffice: {first.trait} is to blame.", 0)
    rival = contenders[1] if len(contenders) > 1 else None
    if rival is None or blameless > rival.probability:
        rival = Contender("blind chance", (), blameless, 0.0)
    odds = first.probability / max(rival.probability, 1e-9)
    lacking = math.log(ENOUGH / (1 - ENOUGH)) - math.log(odds)
    more = _incidents(lacking, *information(first, rival, facts))
    which = f"{first.trait} ({first.probability:.0%}) from {rival.trait} ({rival.probability:.0%})"
    if more > _PATIENCE:
        hardly = f"More incidents alone will hardly tell {which}"
        return Advice(f"{hardly}; evidence such as the crashing thread would.", None)
    noun = "incident" if more == 1 else "incidents"
    return Advice(f"About {more} more {noun} would tell {which}.", int(more))


def _incidents(lacking: float, mean: float, deviation: float) -> float:
    """How many incidents add up to ``lacking`` with confidence, if each brings about ``mean``.

    Solves n * mean - confidence * deviation * sqrt(n) = lacking.
    """
    if mean <= 0:
        return math.inf
    spread = _CONFIDENCE * deviation
    root = (spread + math.sqrt(spread**2 + 4 * mean * max(lacking, 0.0))) / (2 * mean)
    return max(1, math.ceil(root**2))


def information(first: Contender, rival: Contender, facts: Facts) -> tuple[float, float]:
    """What one incident adds to the log odds of ``first`` over ``rival``: mean and deviation.

    The mean is the Kullback-Leibler divergence of what the two predict. Both are over simulated
    incidents, of which ``first`` causes its fitted share; numbers in flight are Poisson and
    independent of each other. Of a rival without routes deaths are blind.
    """
    rng = np.random.default_rng(0)
    explained = first.explains / first.probability
    share = (explained + PSEUDO_INCIDENTS) / (facts.count + 2 * PSEUDO_INCIDENTS)
    means = {
        route: max(facts.seconds[route] / facts.worker_s, 1e-9)
        for route in dict.fromkeys(first.routes + rival.routes)
    }
    numbers = {route: rng.poisson(mean, _DRAWS).astype(float) for route, mean in means.items()}
    guilty = rng.random(_DRAWS) < share
    for route in first.routes:
        # What kills is there, besides what chance brings.
        numbers[route] += guilty

    def density(contender: Contender) -> Floats:
        lift = np.ones(_DRAWS)
        taken = dict.fromkeys(contender.routes, 0)
        for route in contender.routes:
            lift *= (numbers[route] - taken[route]) / means[route]
            taken[route] += 1
        return np.asarray(1 - share + share * lift)

    added = np.log(density(first) / density(rival))
    return float(added.mean()), float(added.std())
