"""From records to rows: what is read between two commits.

The loop of ``Batch.take`` is where the watcher's time goes. It handles the ordinary request, one
plain begin and one plain end, and leaves everything else to slower methods. An end before the last
one, that the response is complete, counts only while the last one is not there.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    RUNNING,
    End,
    unpack_end,
)
from standfast.journal.reader import Record
from standfast.store.dialect import insert_many
from standfast.store.period import MINUTE_NS
from standfast.store.places import place
from standfast.store.tables import FAILED, OPEN, SLOW, ordinary_request, request

from . import crowd
from .bounds import CLOCK_NS, DURATION_NS, MOST, clock_ns
from .late import close_late
from .logged import LoggedErrors
from .messages import Messages
from .outcome import Row, close
from .rollups import Rollups, Sample
from .routes import SHAPE
from .rows import (
    APP_AT,
    BEGUN_AT,
    COLUMNS,
    OUTCOME_AT,
    PLACE_AT,
    ROUTE_AT,
    STATUS_AT,
    TEXTS,
    path_of,
    plain_row,
    row_of,
)
from .source import Source

_BEGIN_SIZE = BEGIN_FIXED.size
_END_SIZE = END_FIXED.size
#: The start of a begin record: sequence and wall clock.
_unpack_begin = struct.Struct("<Qq").unpack_from
_unpack_end = END_FIXED.unpack_from
_ORDINARY = tuple(column.name for column in ordinary_request.c if column.name != "id")
_values = itemgetter(*COLUMNS)
#: The same error comes again and again.
_place = lru_cache(256)(place)


class Batch:
    """Rows that will be stored in one transaction. Not used again after ``store``."""

    def __init__(self) -> None:
        self.rollups = Rollups()
        self.logged = LoggedErrors()
        self.messages = Messages()
        #: Records that say nothing: ends without a begin, bodies too short.
        self._ignored = 0
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

    @property
    def ignored(self) -> int:
        """How many records said nothing."""
        return self._ignored + self.messages.ignored

    def take(self, source: Source, records: Iterable[Record]) -> None:
        """Takes in the next records of one worker, in their order."""
        self._sources[source.worker_id] = source
        opened = source.open
        known = source.http.known
        shapes = source.http.shapes
        route_of = source.http.of
        worker_id = source.worker_id
        slow_ns = source.slow_ns
        proxies = source.proxies
        samples = self.rollups.samples
        append = self._ordinary.append
        begun_ns = ended_ns = 0
        #: Of requests whose code runs on, the bodies of the ends that say so.
        answered: dict[int, bytes] = {}
        for kind, flags, body in records:
            if kind == BEGIN:
                if len(body) < _BEGIN_SIZE:
                    self._ignored += 1
                    continue
                seq, begun_ns = _unpack_begin(body)
                if seq > MOST:
                    self._ignored += 1
                    continue
                if not 0 <= begun_ns <= CLOCK_NS:
                    begun_ns = clock_ns(begun_ns)
                opened[seq] = (begun_ns, flags, body)
            elif kind == END:
                size = len(body)
                if flags == RUNNING:
                    # Nearly always one of the next records says all of it.
                    answered[int.from_bytes(body[:8], "little")] = body
                    continue
                if answered:
                    answered.pop(int.from_bytes(body[:8], "little"), None)
                if flags or size < _END_SIZE:
                    self._close(source, flags, body)
                    continue
                end = _unpack_end(body)
                seq, duration_ns, _, _, status, background_ns = end
                begin = opened.get(seq)
                if begin is None or begin[1]:
                    self._close(source, flags, body)
                    continue
                if size != _END_SIZE or duration_ns >= slow_ns or status >= 500:
                    if background_ns or duration_ns > DURATION_NS:
                        self._close(source, flags, body)
                        continue
                    wall_ns, _, begin_body = opened.pop(seq)
                    ended_ns = wall_ns + duration_ns
                    self._keep(end, *plain_row(source, wall_ns, begin_body, end, body[_END_SIZE:]))
                    continue
                wall_ns, _, begin_body = begin
                ended_ns = wall_ns + duration_ns
                del opened[seq]
                raw = begin_body[_BEGIN_SIZE:]
                path = path_of(raw)
                route = known.get(path) or shapes.get(path.translate(SHAPE))
                route = route or route_of(path, found=status != 404)
                samples[route, wall_ns // MINUTE_NS].append(end)
                # Python's sqlite3 takes a bytearray as it is and asks its adapters about bytes.
                if proxies is not None:
                    raw = proxies.texts(raw)
                row = (wall_ns, duration_ns, route, worker_id, seq, status or None, bytearray(raw))
                append(row)
            else:
                self.messages.hear(source, kind, flags, body)
        for body in answered.values():
            self._close(source, RUNNING, body)
        source.last_seen_ns = max(source.last_seen_ns, clock_ns(begun_ns), clock_ns(ended_ns))

    def answer(self, source: Source, answers: Iterable[Record]) -> bool:
        """Takes in responses that are complete while the application's code may run on, as
        ``SegmentReader.answers`` gives them; whether there is one that it did not know of. All
        records that were written before have been taken."""
        self._sources[source.worker_id] = source
        known, source.answered = source.answered, {_unpack_end(body)[0] for _, _, body in answers}
        news = source.answered - known
        for _, flags, body in answers:
            seq = _unpack_end(body)[0]
            # Of all others the end is there already.
            if seq in news and (seq in source.open or source.kept_open):
                self._close(source, flags, body)
        return bool(news)

    def _keep(self, end: Sample, names: tuple[str, ...], row: tuple[Any, ...]) -> None:
        """Takes in a row of ``plain_row``."""
        self._plain[names].append(row)
        key = (row[ROUTE_AT], row[BEGUN_AT] // MINUTE_NS)
        self.rollups.samples[key].append(end)
        if row[OUTCOME_AT] == SLOW:
            self.rollups.slow.append(key)
            return
        self.rollups.failed.append(key)
        where = row[PLACE_AT] if len(row) > PLACE_AT else None
        self.rollups.failures.add(row[APP_AT], where, row[STATUS_AT], row[BEGUN_AT])

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
        for worker_id, ends in self._late.items():
            self._ignored += close_late(connection, self._sources[worker_id], ends, self._finish)
        self.logged.store(connection)
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
        self.messages.store(connection)
        insert_many(connection, ordinary_request, _ORDINARY, self._ordinary)
        self.closed += len(self._ordinary)

    def _close(self, source: Source, flags: int, body: bytes) -> None:
        """Closes any request; those of an earlier batch when this one is stored."""
        end = unpack_end(body, flags)
        if end is None or end.seq > MOST:
            self._ignored += 1
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
            if outcome == FAILED:
                self.rollups.failures.add(
                    row["application_id"], row["place"], row["status"], row["begun_ns"]
                )
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
