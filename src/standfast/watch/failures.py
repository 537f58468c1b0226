"""Requests that failed, counted by where the error comes from."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection

from standfast.store.failures import Kind, count_failures


class Failures:
    """What a batch adds to the counts."""

    def __init__(self) -> None:
        # Not by Kind, which takes longer to make.
        self._found: defaultdict[tuple[int, str | None, int | None], list[int]] = defaultdict(list)

    def add(self, app_id: int, place: str | None, status: int | None, begun_ns: int) -> None:
        """Counts one request, by when it began."""
        self._found[app_id, place, status].append(begun_ns)

    def store(self, connection: Connection) -> None:
        """Adds everything to the tables and forgets it."""
        found = {Kind(*kind): moments for kind, moments in self._found.items()}
        count_failures(connection, found)
        self._found.clear()
