"""Small made-up sites for the tests of the ranking."""

from __future__ import annotations

from collections.abc import Sequence

from standfast.diagnose.suspects import Exposure, Incident, Request, Suspect


def incident(*routes: str, age_s: float = 0.1) -> Incident:
    """A death with requests of these routes in flight."""
    return Incident([Request(route, age_s) for route in routes])


def exposure(worker_s: float = 1_000.0, requests: int = 10_000, **seconds: float) -> Exposure:
    """Request-seconds by route, each named without its slash."""
    return Exposure(worker_s, {f"/{name}": s for name, s in seconds.items()}, requests)


def find(suspects: Sequence[Suspect], kind: str, trait: str) -> Suspect | None:
    """The suspect of this name, if it is listed."""
    return next((s for s in suspects if (s.kind, s.trait) == (kind, trait)), None)


def probability(suspects: Sequence[Suspect], kind: str, trait: str) -> float:
    """What is said of it; nothing is said of what is below one in a thousand."""
    found = find(suspects, kind, trait)
    return found.probability if found else 0.0
