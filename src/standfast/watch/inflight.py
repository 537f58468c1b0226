"""What runs at this moment: requests begun and not closed, of workers that live.

Read from the journals themselves, so that it works while the store, or the watcher, is away. A
store adds the requests that began in a segment which the watcher has stored and deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Engine, select

from standfast.journal.format import BEGIN, END, Begin, End, Header, unpack_begin, unpack_end
from standfast.journal.reader import Record, SegmentReader
from standfast.store.tables import OPEN, application, request, worker

from .folder import WorkerFiles, open_segment, scan
from .liveness import ALIVE, FOREIGN, Liveness, Process
from .proxies import Proxies

RUNNING = "running"
#: The response is complete and the application's code still runs.
BACKGROUND = "background"

#: So many requests in flight of one worker are told of at most.
MOST_OPEN = 10_000


class InFlight(NamedTuple):
    """A request in flight. ``state`` is ``running`` or ``background``; texts are not trusted."""

    id: str
    app: str
    host: str
    worker_pid: int
    state: str
    begun_ns: int
    age_s: float
    kind: str
    method: str
    uri: str
    client: str
    forwarded_for: str
    user_agent: str
    thread: int


class _Known(NamedTuple):
    uid: str
    app: str
    host: str
    pid: int


def in_flight(
    journal: str,
    app: str | None = None,
    engine: Engine | None = None,
    proxies: Proxies | None = None,
) -> list[InFlight]:
    """The requests in flight of one application, or of all, the oldest first.

    Without ``proxies`` every peer is taken for the client.
    Raises OSError where the journal folder cannot be read.
    """
    liveness = Liveness(limit=0)
    found: list[InFlight] = []
    for files in scan(journal, lambda _: None).values():
        header, owner = _header(files)
        if header is None or (app is not None and header.app != app):
            continue
        process = Process.of(header, owner)
        if liveness.states([process])[process] in (ALIVE, FOREIGN):
            found += _of_worker(files, header, engine)
    if proxies is not None:
        # Again for those of the store: where the client is known, it is no proxy.
        found = [
            one._replace(client=proxies.client(one.client, one.forwarded_for)) for one in found
        ]
    return sorted(found, key=lambda one: one.begun_ns)


def _header(files: WorkerFiles) -> tuple[Header | None, int]:
    for number in reversed(files.numbers):
        segment = open_segment(files, number)
        if isinstance(segment, SegmentReader):
            segment.close()
            return segment.header, segment.owner
    return None, 0


def _of_worker(files: WorkerFiles, header: Header, engine: Engine | None) -> Iterator[InFlight]:
    known = _Known(files.uid, header.app, header.host, header.pid)
    # Asked before the journals are read: what closes in between is closed below.
    flying = _stored(known, engine) if engine is not None else {}
    answers: list[Record] = []
    for number in files.numbers:
        segment = open_segment(files, number)
        if isinstance(segment, str):
            continue  # the watcher was faster, or the file is none of ours
        with segment:
            answers = segment.answers()
            while True:
                before = segment.offset
                for kind, flags, body in segment.read():
                    if kind == BEGIN and len(flying) < MOST_OPEN:
                        begin = unpack_begin(body, flags)
                        if begin is not None:
                            flying[begin.seq] = _begun(known, begin)
                    elif kind == END:
                        end = unpack_end(body, flags)
                        if end is not None:
                            _end(flying, end)
                if segment.offset == before:
                    break
    for _, flags, body in answers:
        end = unpack_end(body, flags)
        if end is not None:
            _end(flying, end)
    yield from flying.values()


def _begun(known: _Known, begin: Begin) -> InFlight:
    return InFlight(
        id=f"{known.uid}-{begin.seq}",
        app=known.app,
        host=known.host,
        worker_pid=known.pid,
        state=RUNNING,
        begun_ns=begin.wall_ns,
        age_s=_age_s(begin.wall_ns),
        kind=begin.kind,
        method=begin.method,
        uri=begin.uri,
        client=begin.client,
        forwarded_for=begin.forwarded_for,
        user_agent=begin.user_agent,
        thread=begin.thread,
    )


def _end(flying: dict[int, InFlight], end: End) -> None:
    begun = flying.pop(end.seq, None)
    if begun is not None and end.running:
        flying[end.seq] = begun._replace(state=BACKGROUND)


def _stored(known: _Known, engine: Engine) -> dict[int, InFlight]:
    wanted = (
        select(request)
        .join(worker, worker.c.id == request.c.worker_id)
        .join(application, application.c.id == worker.c.application_id)
        .where(
            application.c.name == known.app,
            worker.c.uid == known.uid,
            request.c.outcome == OPEN,
            ~request.c.aborted,
        )
        .limit(MOST_OPEN)
    )
    with engine.connect() as connection:
        return {
            row.seq: InFlight(
                id=f"{known.uid}-{row.seq}",
                app=known.app,
                host=known.host,
                worker_pid=known.pid,
                state=RUNNING if row.duration_ns is None else BACKGROUND,
                begun_ns=row.begun_ns,
                age_s=_age_s(row.begun_ns),
                kind=row.kind,
                method=row.method,
                uri=row.uri,
                client=row.client,
                forwarded_for=row.forwarded_for,
                user_agent=row.user_agent,
                thread=row.thread,
            )
            for row in connection.execute(wanted)
        }


def _age_s(begun_ns: int) -> float:
    return max(time.time_ns() - begun_ns, 0) / 1e9
