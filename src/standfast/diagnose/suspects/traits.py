"""What a request has in common with others of its route."""

from __future__ import annotations

from itertools import pairwise

from .facts import Request

#: The kinds of trait within a route, each of which gets the same share of the prior.
KINDS = ("parameter", "value", "size", "client", "user_agent", "method", "hour")

# A value longer than this is told by its size alone.
_VALUE_LIMIT = 64
_SIZES = (0, 1, 10, 100, 1_000, 10_000, 100_000)


def traits_of(request: Request) -> set[tuple[str, str]]:
    """Kind and name of every trait that ``request`` has."""
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


def _size(length: int) -> str:
    for low, high in pairwise(_SIZES):
        if length < high:
            return "empty" if high == 1 else f"of {low} to {high - 1} characters"
    return f"of {_SIZES[-1]} characters or more"
