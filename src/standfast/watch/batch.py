"""From records to rows: what is read between two commits.

The loop of ``Batch.take`` is where the watcher's time goes. It handles the ordinary request, one
plain begin and one plain end (or two: the response and the return of the application's code), and
leaves everything else to slower methods.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    EXIT,
    OPTIONS,
    PROGRESS,
    ROUTE,
    RUNNING,
    SIGNAL,
    End,
    Exit,
    Options,
    Signal,
    unpack_end,
    unpack_exit,
    unpack_options,
    unpack_progress,
    unpack_route,
    unpack_signal,
)
from standfast.journal.reader import Record
from standfast.store import evidence
from standfast.store.dialect import insert_many
from standfast.store.evidence import Fact, add_facts
from standfast.store.period import MINUTE_NS
from standfast.store.places import place
from standfast.store.tables import FAILED, OPEN, SLOW, ordinary_request, request

from . import crowd
from .bounds import CLOCK_NS, DURATION_NS, MOST, clock_ns
from .folding import fold_numbers
from .logged import LoggedErrors
from .outcome import Row, close
from .rollups import Rollups, Sample
from .rows import BEGUN_AT, COLUMNS, OUTCOME_AT, ROUTE_AT, TEXTS, path_of, plain_row, row_of
from .source import Source

_BEGIN_SIZE = BEGIN_FIXED.size
_END_SIZE = END_FIXED.size
#: The start of a begin record: sequence and wall clock.
_unpack_begin = struct.Struct("<Qq").unpack_from
_unpack_end = END_FIXED.unpack_from
#: How many requests one statement asks for.
_CHUNK = 500
#: Of so many requests of a worker it is remembered when they last sent something.
_MOST_PROGRESS = 10_000
_ORDINARY = tuple(column.name for column in ordinary_request.c if column.name != "id")
_values = itemgetter(*COLUMNS)
#: The same error comes again and again.
_place = lru_cache(256)(place)
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


class Batch:
    """Rows that will be stored in one transaction. Not used again after ``store``."""

    def __init__(self) -> None:
        self.rollups = Rollups()
        self.logged = LoggedErrors()
        #: What masters say of their children, by the number of the master's row.
        self.said: list[tuple[int, Exit | Signal]] = []
        #: What workers say of themselves, by the number of their rows.
        self.facts: list[tuple[int, Fact]] = []
        #: Records that say nothing: ends without a begin, bodies too short.
        self.ignored = 0
        #: Requests that were closed.
        self.closed = 0
        self._sources: dict[int, Source] = {}
        self._ordinary: list[tuple[int, int, int, int, int, int | None, bytearray]] = []
        self._kept: list[Row] = []
        #: Plain requests by the names of their columns: see ``rows.plain_row``.
        self._plain: defaultdict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
        #: In this batch begun and partly closed: complete responses whose code runs on.
        self._held: dict[tuple[int, int], Row] = {}
        #: Ends of requests that began in an earlier batch.
        self._late: dict[int, list[End]] = {}
        #: By worker and number, the bytes that open requests have sent so far.
        self._going_on: dict[tuple[int, int], int] = {}

    def take(self, source: Source, records: Iterable[Record]) -> None:
        """Takes in the next records of one worker, in their order."""
        self._sources[source.worker_id] = source
        opened = source.open
        known = source.http.known
        number = source.http.number
        worker_id = source.worker_id
        slow_ns = source.slow_ns
        proxies = source.proxies
        samples = self.rollups.samples
        append = self._ordinary.append
        begun_ns = ended_ns = 0
        #: The first ends of ordinary requests that get another, with their bodies.
        answered: dict[int, tuple[int, int, int, bytes]] = {}
        for kind, flags, body in records:
            if kind == BEGIN:
                if len(body) < _BEGIN_SIZE:
                    self.ignored += 1
                    continue
                seq, begun_ns = _unpack_begin(body)
                if seq > MOST:
                    self.ignored += 1
                    continue
                if not 0 <= begun_ns <= CLOCK_NS:
                    begun_ns = clock_ns(begun_ns)
                opened[seq] = (begun_ns, flags, body)
            elif kind == END:
                size = len(body)
                if flags & ~RUNNING or size < _END_SIZE:
                    self._close_both(source, answered, flags, body)
                    continue
                end = _unpack_end(body)
                seq, duration_ns, cpu_ns, sent, status = end
                begin = opened.get(seq)
                if begin is None or begin[1]:
                    self._close_both(source, answered, flags, body)
                    continue
                if size != _END_SIZE or duration_ns >= slow_ns or status >= 500:
                    if flags or seq in answered or duration_ns > DURATION_NS:
                        self._close_both(source, answered, flags, body)
                        continue
                    wall_ns, _, begin_body = opened.pop(seq)
                    ended_ns = wall_ns + duration_ns
                    self._keep(end, *plain_row(source, wall_ns, begin_body, end, body[_END_SIZE:]))
                    continue
                if flags and seq not in answered:
                    # Nearly always one of the next records closes it.
                    answered[seq] = (duration_ns, sent, status, body)
                    continue
                wall_ns, _, begin_body = begin
                ended_ns = wall_ns + duration_ns
                if seq in answered:
                    duration_ns, sent_before, status_before, _ = answered[seq]
                    if flags or sent != sent_before or status != status_before:
                        self._close_both(source, answered, flags, body)
                        continue
                    del answered[seq]
                    end = (seq, duration_ns, cpu_ns, sent, status)
                del opened[seq]
                raw = begin_body[_BEGIN_SIZE:]
                path = path_of(raw)
                route = known.get(path) or known.get(fold_numbers(path))
                route = route or number(path, found=status != 404)
                samples[route, wall_ns // MINUTE_NS].append(end)
                # Python's sqlite3 takes a bytearray as it is and asks its adapters about bytes.
                if proxies is not None:
                    raw = proxies.texts(raw)
                row = (wall_ns, duration_ns, route, worker_id, seq, status or None, bytearray(raw))
                append(row)
            else:
                self._hear(source, kind, flags, body)
        for *_, body in answered.values():
            self._close(source, RUNNING, body)
        source.last_seen_ns = max(source.last_seen_ns, clock_ns(begun_ns), clock_ns(ended_ns))

    def _keep(self, end: Sample, names: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Takes in a row of ``plain_row``."""
        self._plain[names].append(row)
        key = (row[ROUTE_AT], row[BEGUN_AT] // MINUTE_NS)
        self.rollups.samples[key].append(end)
        (self.rollups.slow if row[OUTCOME_AT] == SLOW else self.rollups.failed).append(key)

    def seal(self) -> None:
        """Makes rows of what is still open; before the transaction, as routes have their own."""
        for source in self._sources.values():
            kept, left_out = crowd.chosen(source.open.items(), source.kept_open)
            for seq, begin in kept:
                self._kept.append(row_of(source, seq, *begin))
            source.kept_open += len(kept)
            source.left_out += left_out
            source.open.clear()
        self._kept += self._held.values()
        self._held.clear()

    def store(self, connection: Connection) -> None:
        """Writes everything but what masters say and the roll-ups, to which deaths may add."""
        self._close_late(connection)
        self.logged.store(connection)
        for worker_id, fact in self.facts:
            add_facts(connection, worker_id, [fact])
        # A hostile journal may begin the same request twice; the first one counts.
        kept = [_values(row) for row in self._kept]
        insert_many(connection, request, COLUMNS, kept)
        for names, rows in self._plain.items():
            insert_many(connection, request, names, rows)
            self.closed += len(rows)
        for source in self._sources.values():
            if source.kept_open > crowd.MOST_OPEN:
                source.left_out += crowd.thin_out(connection, source.worker_id)
                source.kept_open = crowd.count_open(connection, source.worker_id)
        self._store_progress(connection)
        insert_many(connection, ordinary_request, _ORDINARY, self._ordinary)
        self.closed += len(self._ordinary)

    def _hear(self, source: Source, kind: int, flags: int, body: bytes) -> None:
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
        self.facts.append((worker_id, fact))

    def _close_both(
        self,
        source: Source,
        answered: dict[int, tuple[int, int, int, bytes]],
        flags: int,
        body: bytes,
    ) -> None:
        """Closes any request, after the end that came before."""
        before = answered.pop(int.from_bytes(body[:8], "little"), None)
        if before is not None:
            self._close(source, RUNNING, before[-1])
        self._close(source, flags, body)

    def _close(self, source: Source, flags: int, body: bytes) -> None:
        """Closes any request; those of an earlier batch when this one is stored."""
        end = unpack_end(body, flags)
        if end is None or end.seq > MOST:
            self.ignored += 1
            return
        begin = source.open.pop(end.seq, None)
        if begin is not None:
            row = row_of(source, end.seq, *begin, status=end.status)
        elif (source.worker_id, end.seq) in self._held:
            row = self._held.pop((source.worker_id, end.seq))
        else:
            self._late.setdefault(source.worker_id, []).append(end)
            return
        outcome = self._finish(source, row, end)
        if outcome == OPEN:
            self._held[source.worker_id, end.seq] = row
        elif outcome in (SLOW, FAILED):
            self._kept.append(row)

    def _finish(self, source: Source, row: Row, end: End) -> str:
        """Enters the end into the row and, if that closes it, into what is counted."""
        outcome = close(row, end, source.slow_ns)
        ran_ns = row["duration_ns"] + (row["background_ns"] or 0)
        source.last_seen_ns = max(source.last_seen_ns, clock_ns(row["begun_ns"] + ran_ns))
        if outcome == OPEN:
            return outcome
        self.rollups.add(
            row["route_id"],
            row["begun_ns"],
            row["duration_ns"],
            row["cpu_ns"],
            row["sent"],
            outcome,
        )
        if outcome in (SLOW, FAILED):
            row["outcome"] = outcome
            row["place"] = _place(row["error"]) if row["error"] else None
            self.closed += 1
        else:
            if row["error"] and end.logged:
                self.logged.add(row["route_id"], row["begun_ns"], row["error"])
            raw = bytearray("\0".join([row[name] for name in TEXTS]).encode())
            self._ordinary.append(
                (
                    row["begun_ns"],
                    row["duration_ns"],
                    row["route_id"],
                    row["worker_id"],
                    row["seq"],
                    row["status"],
                    raw,
                )
            )
        return outcome

    def _close_late(self, connection: Connection) -> None:
        for worker_id, ends in self._late.items():
            for at in range(0, len(ends), _CHUNK):
                self._close_some(connection, self._sources[worker_id], ends[at : at + _CHUNK])

    def _close_some(self, connection: Connection, source: Source, ends: list[End]) -> None:
        still_open = (request.c.worker_id == source.worker_id) & (request.c.outcome == OPEN)
        wanted = select(request).where(still_open, request.c.seq.in_({end.seq for end in ends}))
        rows = {row["seq"]: dict(row) for row in connection.execute(wanted).mappings()}
        changed: dict[int, Row] = {}
        ordinary: list[int] = []
        for end in ends:
            row = rows.get(end.seq)
            if row is None:
                self.ignored += 1
                source.left_out -= source.left_out > 0
                continue
            outcome = self._finish(source, row, end)
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
