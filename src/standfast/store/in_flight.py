"""The requests that were in flight in incidents: of each incident, a bounded number.

One worker can leave a million requests open, and a customer can write it: what is read, judged
and shown of one incident has an end, and what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from .tables import incident, request, worker

#: So many requests of one incident are read, those that began first.
MOST = 1_000
#: How many incidents are asked about at once, and how many of their requests.
_INCIDENTS = 400
_REQUESTS = 20_000


class InFlight(NamedTuple):
    """What was in flight in one incident, in the order of beginning; ``left_out`` are so many
    that were not read, or of which the watcher kept no rows."""

    rows: list[Row[Any]]
    left_out: int


def in_flight(
    connection: Connection, wanted: Select[Any], incident_ids: Sequence[int], most: int = MOST
) -> Iterator[tuple[int, InFlight]]:
    """By incident what ``wanted``, a statement over ``request``, finds of it; ``most`` rows each.

    The rows must have ``incident_id``. Incidents in which nothing was in flight are there too.
    """
    for at in range(0, len(incident_ids), _INCIDENTS):
        some = incident_ids[at : at + _INCIDENTS]
        column = request.c.incident_id
        counted = select(column, func.count()).where(column.in_(some)).group_by(column)
        counts: dict[int, int] = {row[0]: row[1] for row in connection.execute(counted)}
        unkept = _unkept(connection, some)
        together: list[int] = []
        rows = 0
        for number in some:
            count = counts.get(number, 0)
            if count > most:
                first = _ordered(wanted.where(column == number)).limit(most)
                yield (
                    number,
                    InFlight(list(connection.execute(first)), count - most + unkept.get(number, 0)),
                )
                continue
            if rows + count > _REQUESTS:
                yield from _whole(connection, wanted, together, unkept)
                together, rows = [], 0
            together.append(number)
            rows += count
        yield from _whole(connection, wanted, together, unkept)


def _unkept(connection: Connection, incident_ids: Sequence[int]) -> dict[int, int]:
    wanted = (
        select(incident.c.id, worker.c.left_out)
        .join(worker, worker.c.id == incident.c.worker_id)
        .where(incident.c.id.in_(incident_ids), worker.c.left_out > 0)
    )
    return {row.id: row.left_out for row in connection.execute(wanted)}


def _whole(
    connection: Connection,
    wanted: Select[Any],
    incident_ids: Sequence[int],
    unkept: Mapping[int, int],
) -> Iterator[tuple[int, InFlight]]:
    found: dict[int, list[Row[Any]]] = {number: [] for number in incident_ids}
    if found:
        for row in connection.execute(_ordered(wanted.where(request.c.incident_id.in_(found)))):
            found[row.incident_id].append(row)
    for number, rows in found.items():
        yield number, InFlight(rows, unkept.get(number, 0))


def _ordered(wanted: Select[Any]) -> Select[Any]:
    return wanted.order_by(request.c.incident_id, request.c.begun_ns, request.c.id)
