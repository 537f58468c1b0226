"""How far each server is behind each other one: a row for whom it comes from, a column for whom
it has come to."""

from __future__ import annotations

from standfast.cluster.inventory import Site

from .seen import SiteSeen

#: By the names of origin and reader.
Ages = dict[tuple[str, str], float | None]
Behind = dict[tuple[str, str], int | None]


def ages(site: Site, seen: SiteSeen) -> Ages:
    """How old, in seconds, the newest heartbeat of the first is that the second has; None where
    it has none. Readers whose database did not answer have no entry.

    Both clocks are taken for what they were measured to be off; where the origin was not reached,
    its clock is taken for right. Up to the time between two beats is no lag at all.
    """
    off = {name: one.clock.offset_s for name, one in seen.reached().items()}
    found: Ages = {}
    for reader, replica in seen.replicas().items():
        now_s = replica.read_at_s - off[reader]
        for origin in site.servers:
            beat_s = replica.beats.get(origin.number)
            found[origin.name, reader] = (
                None if beat_s is None else max(0.0, now_s - (beat_s - off.get(origin.name, 0.0)))
            )
    return found


def behind(site: Site, seen: SiteSeen) -> Behind:
    """How many transactions of the first the second does not have; None where nobody knows what
    the first has made. Since all are read at once and not at one instant, a few is none."""
    replicas = seen.replicas()
    found: Behind = {}
    for origin in site.servers:
        at = {name: one.positions.get(origin.number, 0) for name, one in replicas.items()}
        newest = max(at.values(), default=0)
        for reader, position in at.items():
            found[origin.name, reader] = newest - position if newest else None
    return found
