"""Errors that an application logged in requests that did not fail, rolled up by where they come
from: a scanner that is refused a thousand times leaves one row, not a thousand errors."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from standfast.store.places import place
from standfast.store.tables import logged_error

#: So many places are told apart in one route; others are not kept.
MOST_PLACES = 200


class LoggedErrors:
    """What a batch adds."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], tuple[int, int, int, str]] = {}

    def add(self, route_id: int, begun_ns: int, error: str) -> None:
        """Counts what was logged in one request."""
        where = place(error)
        if where is None:
            return
        count, first_ns, last_ns, last = self._found.get(
            (route_id, where), (0, begun_ns, begun_ns, error)
        )
        last = error if begun_ns >= last_ns else last
        self._found[route_id, where] = (
            count + 1,
            min(first_ns, begun_ns),
            max(last_ns, begun_ns),
            last,
        )

    def store(self, connection: Connection) -> None:
        """Merges everything into the table and forgets it."""
        for (route_id, where), (count, first_ns, last_ns, error) in self._found.items():
            mine = logged_error.c.route_id == route_id
            done = connection.execute(
                update(logged_error)
                .where(mine, logged_error.c.place == where)
                .values(count=logged_error.c.count + count, last_ns=last_ns, error=error)
            )
            if done.rowcount:
                continue
            places = select(func.count()).select_from(logged_error).where(mine)
            if (connection.execute(places).scalar() or 0) < MOST_PLACES:
                values = {"count": count, "first_ns": first_ns, "last_ns": last_ns, "error": error}
                connection.execute(
                    logged_error.insert().values(route_id=route_id, place=where, **values)
                )
        self._found.clear()
