"""From the journals of one folder into the store, exactly once, and each by itself where it must.

A round looks which workers live, then lists the folder, then reads. In this order: whatever a
worker wrote before it was seen dead is found by the reading that follows. What was read and how
far reading came are stored in one transaction, files are deleted after it. So the watcher may be
killed anywhere: what was not stored is read again, what was stored is not.

All journals are stored together, as that is quick. Where that fails, and not because the store is
away, the round is taken again with each journal by itself: the one that fails is set aside.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from standfast.errors import StandfastError
from standfast.store import writing
from standfast.store.evidence import Fact

from . import deaths, loading, masters
from .batch import Batch
from .evidence import Death, Observer
from .faults import is_store_away
from .folder import read_fault
from .liveness import Liveness
from .rollups import Rollups
from .roster import Key, Roster
from .settings import Settings
from .workers import Worker

#: A batch is stored when it has so many records or has taken so many bytes of journal.
BATCH_RECORDS = 40_000
BATCH_BYTES = 16 * 1024 * 1024
#: How much is read at once, and of one worker before it is the next one's turn, in bytes.
_READ_BYTES = 512 * 1024
_TURN_BYTES = 8 * 1024 * 1024
#: How many deaths are stored together: nobody else can write into the store meanwhile.
_DEATHS = 100

#: (requests stored, bytes of journal read, bytes there were at the start).
Progress = Callable[[int, int, int], None]


class Intake:
    """Reads the journals of one folder into a store, a round at a time."""

    def __init__(
        self,
        journal: str,
        engine: Engine,
        settings: Settings,
        observer: Observer,
        *,
        open_files: int,
        liveness: Liveness,
        warn: Callable[[str], None],
        progress: Progress | None = None,
    ) -> None:
        """``open_files`` journals are kept open between rounds; further ones are opened again
        each time."""
        self._journal = journal
        self._engine = engine
        self._settings = settings
        self._observer = observer
        self._liveness = liveness
        self._open_files = open_files
        self._warn = warn
        self._progress = progress
        self._total_bytes = 0
        self.roster = Roster(journal, engine, settings, liveness, warn)
        #: Requests stored since the start, and records that said nothing.
        self.requests = 0
        self.ignored = 0
        #: Those whose journals the last round has read to their present ends.
        self.read_whole: list[Worker] = []
        self._start_batch()
        #: Masters may have told of deaths of which nothing else is known.
        self._unsettled = True
        loading.sweep(journal, ())

    def start_afresh(self) -> None:
        """Forgets what was read and not stored."""
        self.roster.start_afresh()
        self.read_whole = []
        self._start_batch()
        self._unsettled = True

    def _start_batch(self) -> None:
        self._batch = Batch()
        self._batch_records = self._batch_bytes = 0

    def take_in(self) -> bool:
        """One round; whether another one may find more at once.

        Raises SQLAlchemyError where the store is away, and StandfastError where the folder cannot
        be read or another watcher reads it too; after that, ``start_afresh``.
        """
        with _no_collection():
            try:
                more = self.round()
            except Exception as error:
                if isinstance(error, StandfastError) or is_store_away(error):
                    raise
                self.start_afresh()
                more = self.round(one_by_one=True)
        self.roster.quarantine.save()
        return more

    def round(self, *, one_by_one: bool = False) -> bool:
        """The same, without a second attempt; ``one_by_one`` isolates each journal."""
        self.roster.see_who_lives()
        unsettled, self._unsettled = self._unsettled, False
        more = self.roster.look_around()
        if more and self._progress and not self._total_bytes:
            self._total_bytes = self.roster.bytes_left()
        if unsettled:
            self.settle()
        self._observer.look(self.roster.living())
        self.read_whole = []
        finished = []
        for key, worker in list(self.workers.items()):
            whole = self._read_alone(key, worker) if one_by_one else self.read(worker)
            if len(self.workers) > self._open_files:
                worker.close()
            if not whole:
                more = True
            elif key in self.workers:
                self.read_whole.append(worker)
                if worker.dead:
                    finished.append(worker)
        if not one_by_one:
            for at in range(0, max(len(finished), 1), _DEATHS):
                self.store(finished[at : at + _DEATHS])
        return more or self._unsettled

    @property
    def workers(self) -> dict[Key, Worker]:
        """Those whose journals are being read."""
        return self.roster.workers

    def close(self) -> None:
        """Closes all files."""
        self.roster.close()

    def settle(self) -> None:
        """Tells the workers that died before their first request from those whose journal has
        been found by now."""
        with writing(self._engine) as connection:
            rollups = Rollups()
            known = {
                worker.source.worker_id: worker.process.owner for worker in self.workers.values()
            }
            failed = masters.settle(connection, known, rollups, self._journal)
            rollups.store(connection)
        self._ask_about(failed)

    def _ask_about(self, unseen: list[Death]) -> None:
        """Has the sources asked about deaths of which only a master has told."""
        known = [(death, self._observer.facts(death)) for death in unseen]
        if known:
            with writing(self._engine) as connection:
                rollups = Rollups()
                for death, facts in known:
                    deaths.learn(connection, death.worker_id, facts, rollups)
                rollups.store(connection)
            loading.sweep(self._journal, {death.process.uid for death, _ in known})

    def _read_alone(self, key: Key, worker: Worker) -> bool:
        """Reads and stores one worker's journal, or sets it aside."""
        try:
            whole = self.read(worker)
            self.store([worker] if whole and worker.dead else [])
        except Exception as error:
            if isinstance(error, StandfastError) or is_store_away(error):
                raise
            self.roster.set_aside(key, worker.files, error)
            self._start_batch()
            return True
        return whole

    def read(self, worker: Worker) -> bool:
        """Reads one worker's journal for a while; whether it was read to its present end."""
        turn = _TURN_BYTES
        while turn > 0:
            try:
                records, taken = worker.read(_READ_BYTES, self.roster.quarantine.add)
            except OSError as error:
                self._warn(f"{worker.files.segment(worker.read_segment)}: {error.strerror}")
                return True
            if not taken:
                if self._batch.answer(worker.source, worker.answers):
                    worker.changed = True
                return True
            turn -= taken
            self._batch.take(worker.source, records)
            self._batch_records += len(records)
            self._batch_bytes += taken
            if self._batch_records >= BATCH_RECORDS or self._batch_bytes >= BATCH_BYTES:
                self.store([])
        return False

    def store(self, finished: list[Worker]) -> None:
        """Stores the batch and the deaths of ``finished``, then deletes what was read."""
        changed = [worker for worker in self.workers.values() if worker.changed]
        batch = self._batch
        unseen: list[Death] = []
        if changed or finished:
            batch.seal()
            facts = {dead.source.worker_id: self._facts_of(dead) for dead in finished}
            with writing(self._engine) as connection:
                batch.store(connection)
                for worker in changed:
                    worker.store(connection)
                reading = {worker.source.worker_id for worker in self.workers.values()}
                if masters.store_said(connection, batch.messages.said, reading, batch.rollups):
                    self._unsettled = True
                for worker in finished:
                    # Its children's journals were known before its own was read to the end.
                    reporter_id = worker.source.worker_id
                    said = {reporter_id: worker.process.owner}
                    unseen += masters.settle(connection, said, batch.rollups, self._journal)
                    masters.forget(connection, reporter_id)
                    fault, fault_ns = read_fault(worker.files)
                    deaths.bury(
                        connection,
                        worker.source.worker_id,
                        batch.rollups,
                        seen_ns=self._liveness.died_ns(worker.process),
                        fault=fault,
                        fault_ns=fault_ns,
                        facts=facts[worker.source.worker_id],
                    )
                batch.rollups.store(connection)
            for worker in changed:
                worker.stored()
        self._ask_about(unseen)
        buried = {worker.source.worker_id for worker in finished}
        for worker in changed + finished:
            worker.delete_read(self._warn, buried=worker.source.worker_id in buried)
        for worker in finished:
            self.roster.forget(worker)
        self.requests += batch.closed
        self.ignored += batch.ignored
        self._start_batch()
        if self._progress and (changed or finished):
            done = self._total_bytes - self.roster.bytes_left()
            self._progress(self.requests, max(done, 0), self._total_bytes)

    def _facts_of(self, dead: Worker) -> list[Fact]:
        """What is to be seen of a death; asked for before the store is locked."""
        if dead.foreign:
            return []
        alive_ns = dead.source.last_seen_ns
        died_ns = self._liveness.died_ns(dead.process) or alive_ns
        pid = self._liveness.pid(dead.process)
        is_proven = pid is not None or dead.process.owner in (None, 0)
        return self._observer.facts(
            Death(dead.source.worker_id, dead.process, pid, alive_ns, died_ns, is_proven)
        )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leaves the collector of cycles out: a batch is a hundred thousand tuples and no cycle, and
    looking through them took a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
