"""What the ranking starts from: incidents, and the in-flight time of all requests."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: The likelihood ratio of evidence that leaves no doubt, such as the crashing thread.
CERTAIN = 1e12


class Request(NamedTuple):
    """One request: closed, or in flight when its worker died.

    ``duration_s`` is how long it ran; of an unfinished request, until its worker died.
    ``evidence`` is a likelihood ratio: how many times likelier is what was seen of this request
    if it killed the worker than if it did not. 1 says nothing, ``CERTAIN`` ends the question,
    0 clears it. The texts are the client's and not to be trusted.
    """

    route: str
    duration_s: float
    parameters: tuple[tuple[str, str], ...] = ()
    client: str = ""
    user_agent: str = ""
    method: str = ""
    hour: int | None = None
    evidence: float = 1.0


@dataclass(frozen=True)
class Incident:
    """The death of one worker, with the requests that were in flight."""

    requests: Sequence[Request]


def _nothing(_route: str) -> Sequence[Request]:
    return ()


@dataclass(frozen=True)
class Exposure:
    """How long what was in flight, over all workers that were watched, dead or alive.

    ``worker_s`` are the seconds that workers lived, ``routes`` the request-seconds of each route
    and ``requests`` their number, both over closed requests: those of the incidents are added by
    the ranking. ``within`` gives the closed requests of one route, all or a fair sample of them;
    it is called for the few routes that are suspected, to look for what sets the deadly ones
    apart.
    """

    worker_s: float
    routes: Mapping[str, float]
    requests: int
    within: Callable[[str], Sequence[Request]] = field(default=_nothing)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.worker_s) and self.worker_s > 0):
            raise ValueError(f"worker_s must be a positive number of seconds, not {self.worker_s}")


def expose(requests: Iterable[Request], worker_s: float) -> Exposure:
    """The exposure that closed ``requests`` add up to. Raises ValueError if ``worker_s`` <= 0."""
    by_route: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_route[request.route].append(request)
    return Exposure(
        worker_s,
        {route: math.fsum([r.duration_s for r in own]) for route, own in by_route.items()},
        sum(map(len, by_route.values())),
        lambda route: by_route.get(route, ()),
    )
