"""How many open requests of one worker are kept: where a million are open, not all of them.

The first ones say what it hangs on and the last ones what it died of; of those between, only
their number is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy import Connection, delete, func, select

from standfast.store.tables import OPEN, request

#: So many of the first ones are kept, and of the last ones.
FIRST = 5_000
LAST = 5_000
MOST_OPEN = FIRST + LAST
#: How many rows one statement deletes.
_CHUNK = 500

_One = TypeVar("_One")


def chosen(begun: Iterable[_One], kept_open: int) -> tuple[list[_One], int]:
    """Those of the requests of a batch that are kept, in their order, and how many are not.

    ``kept_open`` of the same worker have been kept before.
    """
    every = list(begun)
    first = max(FIRST - kept_open, 0)
    left_out = max(len(every) - first - LAST, 0)
    return every[:first] + every[first + left_out :], left_out


def count_open(connection: Connection, worker_id: int) -> int:
    """How many requests of a worker are open and have rows."""
    mine = (request.c.worker_id == worker_id) & (request.c.outcome == OPEN)
    return connection.execute(select(func.count()).where(mine)).scalar() or 0


def thin_out(connection: Connection, worker_id: int) -> int:
    """Deletes the rows between the first and the last open ones; how many they were."""
    mine = (request.c.worker_id == worker_id) & (request.c.outcome == OPEN)
    excess = count_open(connection, worker_id) - MOST_OPEN
    if excess <= 0:
        return 0
    between = select(request.c.id).where(mine).order_by(request.c.seq).offset(FIRST).limit(excess)
    ids = connection.execute(between).scalars().all()
    for at in range(0, len(ids), _CHUNK):
        gone = request.c.id.in_(ids[at : at + _CHUNK])
        connection.execute(delete(request).where(gone))
    return len(ids)
