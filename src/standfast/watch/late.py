"""Requests that began in an earlier batch, and so have a row already, are closed in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from standfast.journal.format import End
from standfast.store.tables import FAILED, OPEN, SLOW, request

from .outcome import Row
from .source import Source

#: How many requests one statement asks for.
_CHUNK = 500
_CLOSING = (
    "duration_ns",
    "background_ns",
    "status",
    "cpu_ns",
    "sent",
    "error",
    "place",
    "cut",
    "aborted",
    "outcome",
)

#: Enters an end into a row and, if that closes it, into what is counted; the outcome.
Finish = Callable[[Source, Row, End], str]


def close_late(connection: Connection, source: Source, ends: Sequence[End], finish: Finish) -> int:
    """Closes requests of one worker; how many ends are of none that is open."""
    return sum(
        _close_some(connection, source, ends[at : at + _CHUNK], finish)
        for at in range(0, len(ends), _CHUNK)
    )


def _close_some(connection: Connection, source: Source, ends: Sequence[End], finish: Finish) -> int:
    ignored = 0
    still_open = (request.c.worker_id == source.worker_id) & (request.c.outcome == OPEN)
    wanted = select(request).where(still_open, request.c.seq.in_({end.seq for end in ends}))
    rows = {row["seq"]: dict(row) for row in connection.execute(wanted).mappings()}
    changed: dict[int, Row] = {}
    ordinary: list[int] = []
    for end in ends:
        row = rows.get(end.seq)
        if row is None:
            # That a response was complete is also said of requests that have ended since.
            if not end.running:
                ignored += 1
                source.left_out -= source.left_out > 0
            continue
        outcome = finish(source, row, end)
        changed[row["id"]] = row
        if outcome != OPEN:
            del rows[end.seq]
            source.kept_open -= 1
        if outcome not in (OPEN, SLOW, FAILED):
            del changed[row["id"]]
            ordinary.append(row["id"])
    if changed:
        update = request.update().where(request.c.id == bindparam("row_id"))
        connection.execute(
            update.values({name: bindparam(f"new_{name}") for name in _CLOSING}),
            [
                {"row_id": number} | {f"new_{name}": row[name] for name in _CLOSING}
                for number, row in changed.items()
            ],
        )
    if ordinary:
        connection.execute(delete(request).where(request.c.id.in_(ordinary)))
    return ignored
