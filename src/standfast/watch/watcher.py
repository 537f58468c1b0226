"""The watcher: when journals are read, when time is due, and what to do while the store is away."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from standfast.errors import StandfastError
from standfast.store import writing
from standfast.store.tables import request

from . import deaths, descriptors
from .batch import Batch
from .evidence import Observer, Stacks, all_collectors
from .faults import is_store_away, said
from .hangs import Hangs, Watched
from .intake import Intake, Progress
from .liveness import Liveness
from .retention import Retention
from .settings import Settings
from .workers import Overtaken

#: How often, and for how long at a time while there is other work, in seconds.
_HOUSEKEEPING_S = 1.0
_HOUSEKEEPING_SHARE_S = 0.2
#: Files that are kept open at most: of journals, and to see processes end.
_OPEN_FILES = 256
_OPEN_PROCESSES = 512
_SHARE = 1 / 8


class Watcher:
    """Reads the journals of one folder into a store. Hold ``lock.watching`` meanwhile."""

    def __init__(
        self,
        journal: str,
        engine: Engine,
        settings: Settings | None = None,
        *,
        warn: Callable[[str], None],
        progress: Progress | None = None,
        is_ours: Callable[[], None] = lambda: None,
    ) -> None:
        """``warn`` is told once of everything that is not as it should be; ``is_ours`` raises
        StandfastError where the folder has come to be another watcher's."""
        self._engine = engine
        self._settings = settings or Settings()
        self._tell = warn
        self._told: set[str] = set()
        self._is_ours = is_ours
        self._liveness = Liveness(limit=descriptors.share(_SHARE, _OPEN_PROCESSES))
        stacks = Stacks()
        sources = [*all_collectors(self._settings), stacks]
        self._observer = Observer(sources, self._settings.sample_s)
        self._hangs = Hangs(stacks, self._observer.moment)
        self._retention = Retention(self._settings)
        self._housekeeping_at = 0.0
        self._hangs_at = 0.0
        self.intake = Intake(
            journal,
            engine,
            self._settings,
            self._observer,
            open_files=descriptors.share(_SHARE, _OPEN_FILES),
            liveness=self._liveness,
            warn=self._warn,
            progress=progress,
        )

    @property
    def requests(self) -> int:
        """How many requests were stored since the start."""
        return self.intake.requests

    @property
    def ignored(self) -> int:
        """How many records said nothing."""
        return self.intake.ignored

    def drain_once(self) -> None:
        """Reads and stores all that there is now.

        Raises SQLAlchemyError where the store is away: nothing is lost then, and the next call
        goes on where the last one that went well had come to. Raises StandfastError where the
        folder cannot be read, or is read by another watcher too.
        """
        try:
            more = True
            while more:
                self._is_ours()
                more = self.intake.take_in()
                self._aside("housekeeping", self._keep_house)
                self._aside("looking for hangs", self._see_hangs)
        except (SQLAlchemyError, Overtaken):
            self.intake.start_afresh()
            raise

    def run_forever(self, poll_s: float | None = None) -> None:
        """Drains again and again, at once when a worker dies; waits for a store that is away."""
        away = False
        while True:
            try:
                self.drain_once()
            except SQLAlchemyError as error:
                if not away:
                    self._tell(f"{_store_is_away(error)}; the journals are kept until it is back")
                away = True
            except Overtaken as error:
                self._warn(str(error))
            else:
                if away:
                    self._tell("the store is back")
                away = False
            self._liveness.wait(self._settings.poll_s if poll_s is None else poll_s)

    def drain_patiently(self) -> None:
        """Drains once; waits ``store_wait_s`` for a store that is away, then StandfastError."""
        give_up = time.monotonic() + self._settings.store_wait_s
        while True:
            try:
                self.drain_once()
                while self._expire():
                    pass
            except SQLAlchemyError as error:
                words = _store_is_away(error)
                if time.monotonic() > give_up:
                    raise StandfastError(
                        f"{words}; the journals are kept, try again when it is back"
                    ) from error
                self._warn(f"{words}; waiting for it")
                time.sleep(0.2)
            else:
                return

    def close(self) -> None:
        """Closes all files."""
        self.intake.close()
        self._liveness.close()
        self._observer.close()

    def _aside(self, what: str, work: Callable[[], None]) -> None:
        """Does what is no reading; should it fail over what a journal said, reading goes on."""
        try:
            work()
        except Exception as error:
            if isinstance(error, StandfastError) or is_store_away(error):
                raise
            self._warn(f"{what}: {type(error).__name__}: {said(error)}; watching goes on")

    def _keep_house(self) -> None:
        """What time brings: torn requests fail, and what is over leaves the store."""
        now = time.monotonic()
        if now < self._housekeeping_at:
            return
        self._housekeeping_at = now + _HOUSEKEEPING_S
        late = self._observer.late_facts()
        with writing(self._engine) as connection:
            living = [worker.source.worker_id for worker in self.intake.workers.values()]
            batch = Batch()
            mine = request.c.worker_id.in_(living)
            deaths.fail_aborted(connection, mine, time.time_ns(), batch.rollups)
            for death, facts in late:
                deaths.learn(connection, death.worker_id, facts, batch.rollups)
            batch.rollups.store(connection)
        while self._expire() and time.monotonic() < now + _HOUSEKEEPING_SHARE_S:
            pass

    def _see_hangs(self) -> None:
        """Looks for requests that do not end, of workers of which all that is written has been
        read: another one may write faster than anybody reads."""
        now = time.monotonic()
        if now < self._hangs_at:
            return
        self._hangs_at = now + _HOUSEKEEPING_S
        living = {one.worker_id: one for one in self.intake.roster.living()}
        self._hangs.see(
            self._engine,
            [
                Watched(
                    living[worker.source.worker_id],
                    worker.source.application_id,
                    max(int(min(self._settings.hang_s, 1e9) * 1e9), worker.source.slow_ns),
                    worker.source.progress,
                )
                for worker in self.intake.read_whole
                if worker.source.worker_id in living
            ],
        )

    def _expire(self) -> bool:
        reading = [worker.source.worker_id for worker in self.intake.workers.values()]
        return self._retention.step(self._engine, reading)

    def _warn(self, words: str) -> None:
        # File names are anybody's words: nothing in them may act on a terminal.
        words = "".join([c if c.isprintable() else ascii(c)[1:-1] for c in words])
        if words not in self._told and len(self._told) < 10_000:
            self._told.add(words)
            self._tell(words)


def _store_is_away(error: SQLAlchemyError) -> str:
    return f"the store cannot be written to ({getattr(error, 'orig', None) or error})"
