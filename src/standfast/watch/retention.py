"""Ordinary requests leave the store when their time is over."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, or_, select

from standfast.store.tables import ordinary_request

#: How many rows one step looks at, so that no step holds the store for long.
STEP = 20_000


def expire(connection: Connection, keep_ns: int, now_ns: int) -> bool:
    """One step of deletion from the front of the table; whether there may be more to do.

    Rows are numbered in the order of storing, so the oldest are in front. A row from further in
    the future than rows are kept has a wrong clock and goes too: it would stay in front for ever.
    """
    rows = ordinary_request.c
    front = select(rows.id).order_by(rows.id).limit(STEP).subquery()
    last, count = connection.execute(select(func.max(front.c.id), func.count())).one()
    if last is None:
        return False
    old = or_(rows.begun_ns < now_ns - keep_ns, rows.begun_ns > now_ns + keep_ns)
    gone = connection.execute(delete(ordinary_request).where(rows.id <= last, old)).rowcount
    return bool(gone) and count == STEP
