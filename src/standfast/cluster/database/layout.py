"""Which links there shall be: who replicates from whom.

A link is named after the server it comes from, so a server has one for each origin at most.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..inventory import Server, Site

PORT = 3306


class Pair(NamedTuple):
    """``replica`` replicates from ``origin``; both are names of servers."""

    replica: str
    origin: str


def links(site: Site, there: Collection[str]) -> frozenset[Pair]:
    """All links that shall be, where the servers named in ``there`` are up.

    A ring keeps the links through a server that is down, and has others beside them that close
    the circle around it: what comes twice is applied once. So the circle is whole the moment the
    server is back, and the closing links are then of no more use.
    """
    if site.database.topology == "mesh":
        names = [server.name for server in site.servers]
        return frozenset(Pair(one, other) for one in names for other in names if one != other)
    return _circle(site.servers) | _circle([s for s in site.servers if s.name in there])


def _circle(servers: Collection[Server]) -> frozenset[Pair]:
    """Each from the one before it, in order of their numbers; the first from the last."""
    names = [server.name for server in sorted(servers, key=lambda server: server.number)]
    return frozenset(
        Pair(name, names[place - 1]) for place, name in enumerate(names) if len(names) > 1
    )
