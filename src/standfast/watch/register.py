"""Workers and applications get their rows in the store."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, select

from standfast.journal.format import Header
from standfast.journal.reader import SegmentReader
from standfast.store import writing
from standfast.store.tables import NAME_LIMIT, application, worker

from .bounds import clock_ns
from .crowd import count_open
from .folder import WorkerFiles, open_segment
from .liveness import Process
from .masters import apply_pending
from .routes import Routes
from .settings import Settings
from .source import Source
from .workers import Worker


class _Application(NamedTuple):
    application_id: int
    slow_ns: int
    http: Routes
    websocket: Routes


class Register:
    """Finds, or makes, the rows of workers. Remembers applications, of which there are few."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._proxies = settings.proxies()
        self._applications: dict[str, _Application] = {}

    def worker(self, files: WorkerFiles) -> Worker | str:
        """The worker that wrote these files, or why none of them can be read."""
        trouble = "no segments"
        for number in files.numbers:
            segment = open_segment(files, number)
            if isinstance(segment, SegmentReader):
                segment.close()
                if segment.header is not None and 0 < len(segment.header.app) <= NAME_LIMIT:
                    return self._worker(files, segment.header, segment.owner)
                trouble = "the application has no name, or one that is too long"
            else:
                trouble = segment
        return trouble

    def _worker(self, files: WorkerFiles, header: Header, owner: int) -> Worker:
        app = self._applications.get(header.app)
        if app is None:
            app = self._applications[header.app] = self._application(header.app)
        with writing(self._engine) as connection:
            row = _row(connection, files.uid, app.application_id, header)
            kept_open = count_open(connection, row.id)
        return Worker(
            source=Source(
                worker_id=row.id,
                application_id=app.application_id,
                http=app.http,
                websocket=app.websocket,
                slow_ns=app.slow_ns,
                last_seen_ns=row.last_seen_ns,
                kept_open=kept_open,
                left_out=row.left_out,
                proxies=self._proxies if self._proxies.any else None,
            ),
            process=Process.of(header, owner),
            files=files,
            read_segment=row.read_segment,
            read_offset=row.read_offset,
            lost=row.lost,
            damaged=row.damaged,
            damaged_bytes=row.damaged_bytes,
        )

    def _application(self, name: str) -> _Application:
        with writing(self._engine) as connection:
            number = connection.execute(
                select(application.c.id).where(application.c.name == name)
            ).scalar()
            if number is None:
                made = connection.execute(application.insert().values(name=name))
                (number,) = made.inserted_primary_key or (0,)
        limit = self._settings.route_limit
        return _Application(
            number,
            self._settings.slow_ns(name),
            Routes(self._engine, number, "http", limit),
            Routes(self._engine, number, "websocket", limit),
        )


def _row(connection: Connection, uid: str, application_id: int, header: Header) -> Row[Any]:
    same = select(worker).where(worker.c.uid == uid, worker.c.application_id == application_id)
    row = connection.execute(same).first()
    if row is None:
        made = connection.execute(
            worker.insert().values(
                uid=uid,
                application_id=application_id,
                host=header.host[:NAME_LIMIT],
                pid=header.pid,
                pid_namespace=header.pid_namespace,
                start_ticks=header.start_ticks,
                boot_id=header.boot_id[:64],
                server=header.server[:NAME_LIMIT],
                revision=header.revision[:NAME_LIMIT],
                started_ns=clock_ns(header.wall_ns),
                last_seen_ns=clock_ns(header.wall_ns),
            )
        )
        apply_pending(connection, (made.inserted_primary_key or (0,))[0])
        row = connection.execute(same).one()
    return row
