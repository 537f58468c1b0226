"""What a request has in common with others of its route."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from .facts import Request

#: The kinds of trait within a route, each of which gets the same share of the prior.
KINDS = ("parameter", "value", "size", "client", "user_agent", "method", "hour", "age")

# A value longer than this is told by its size alone.
_VALUE_LIMIT = 64
_SIZES = (0, 1, 10, 100, 1_000, 10_000, 100_000)
_AGES_S = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
_AGE_NAMES = [f"{low:g} to {high:g} s" for low, high in pairwise(_AGES_S)] + ["100 s or more"]


def traits_of(request: Request) -> set[tuple[str, str]]:
    """Kind and name of every trait that ``request`` has from its begin to its end."""
    traits = set()
    for name, value in request.parameters:
        traits.add(("parameter", name))
        if len(value) <= _VALUE_LIMIT:
            traits.add(("value", f"{name}={value}"))
        traits.add(("size", f"{name} {_size(len(value))}"))
    if request.client:
        traits.add(("client", request.client))
    if request.user_agent:
        traits.add(("user_agent", request.user_agent))
    if request.method:
        traits.add(("method", request.method))
    if request.hour is not None:
        traits.add(("hour", f"{request.hour:02}"))
    return traits


def age_of(request: Request) -> tuple[str, str]:
    """The age that ``request`` had when its worker died, as a trait."""
    below = sum(request.duration_s >= low for low in _AGES_S[1:])
    return "age", _AGE_NAMES[below]


def ages_of(request: Request) -> Iterator[tuple[tuple[str, str], float]]:
    """Every age that ``request`` passed through, with the seconds it spent there."""
    for index, (name, low) in enumerate(zip(_AGE_NAMES, _AGES_S, strict=True)):
        if request.duration_s <= low:
            return
        high = _AGES_S[index + 1] if index + 1 < len(_AGES_S) else request.duration_s
        yield ("age", name), min(request.duration_s, high) - low


def _size(length: int) -> str:
    for low, high in pairwise(_SIZES):
        if length < high:
            return "empty" if high == 1 else f"of {low} to {high - 1} characters"
    return f"of {_SIZES[-1]} characters or more"
