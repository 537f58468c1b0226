"""What workers and masters say besides the beginnings and ends of requests."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam

from standfast.journal.format import (
    EXIT,
    OPTIONS,
    PROGRESS,
    ROUTE,
    SIGNAL,
    Exit,
    Options,
    Signal,
    unpack_exit,
    unpack_options,
    unpack_progress,
    unpack_route,
    unpack_signal,
)
from standfast.store import evidence
from standfast.store.evidence import Fact, add_facts
from standfast.store.tables import OPEN, request

from .bounds import MOST, clock_ns
from .source import Source

#: Of so many requests of a worker it is remembered when they last sent something.
_MOST_PROGRESS = 10_000


class Messages:
    """What a batch has heard."""

    def __init__(self) -> None:
        #: What masters say of their children, by the number of the master's row.
        self.said: list[tuple[int, Exit | Signal]] = []
        #: Records that say nothing.
        self.ignored = 0
        #: What workers say of themselves, by the number of their rows.
        self._facts: list[tuple[int, Fact]] = []
        #: By worker and number, the bytes that open requests have sent so far.
        self._going_on: dict[tuple[int, int], int] = {}

    def hear(self, source: Source, kind: int, flags: int, body: bytes) -> None:
        """Takes in any other record: that a response is on its way, what a master says, or a type
        of a later version."""
        said: Exit | Signal | None
        if kind == PROGRESS:
            self._go_on(source, body)
            return
        if kind == OPTIONS:
            self._hear_options(source.worker_id, unpack_options(body))
            return
        if kind == EXIT:
            said = unpack_exit(body, flags)
        elif kind == SIGNAL:
            said = unpack_signal(body)
        elif kind == ROUTE:
            pattern = unpack_route(body)
            if pattern is not None:
                source.http.add_pattern(*pattern)
                source.websocket.add_pattern(*pattern)
            return
        else:
            return
        if said is None or said.wall_ns < 0 or max(number or 0 for number in said) > MOST:
            self.ignored += 1
        else:
            self.said.append((source.worker_id, said._replace(wall_ns=clock_ns(said.wall_ns))))

    def _go_on(self, source: Source, body: bytes) -> None:
        """Notes that a request has sent a part of its response."""
        progress = unpack_progress(body)
        if progress is None or progress.seq > MOST:
            self.ignored += 1
            return
        source.progress.pop(progress.seq, None)
        source.progress[progress.seq] = min(progress.age_ns, MOST)
        if len(source.progress) > _MOST_PROGRESS:
            del source.progress[next(iter(source.progress))]
        self._going_on[source.worker_id, progress.seq] = min(progress.sent or 0, MOST)

    def store(self, connection: Connection) -> None:
        """Writes everything but what masters say."""
        for worker_id, fact in self._facts:
            add_facts(connection, worker_id, [fact])
        self._store_progress(connection)

    def _store_progress(self, connection: Connection) -> None:
        """Of open requests, what they have sent so far: so a watcher that starts again knows that
        these are being answered."""
        if self._going_on:
            mine = request.c.worker_id == bindparam("of_worker"), request.c.seq == bindparam("of")
            connection.execute(
                request.update()
                .where(*mine, request.c.outcome == OPEN)
                .values(sent=bindparam("so_far")),
                [
                    {"of_worker": worker_id, "of": seq, "so_far": sent}
                    for (worker_id, seq), sent in self._going_on.items()
                ],
            )

    def _hear_options(self, worker_id: int, said: Options | None) -> None:
        if said is None:
            self.ignored += 1
            return
        words = ", ".join(f"{name} = {value}" for name, value in said.options.items())
        text = f"the server's own settings: {words}"
        at_ns = clock_ns(said.wall_ns)
        fact = Fact(evidence.SERVER_OPTIONS, evidence.Source.JOURNAL, at_ns, text, said.options)
        self._facts.append((worker_id, fact))
