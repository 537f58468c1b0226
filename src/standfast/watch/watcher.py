"""The watcher: from the journals of one folder into the store, exactly once.

A pass looks which workers live, then lists the folder, then reads. In this order: whatever a
worker wrote before it was seen dead is found by the reading that follows. What was read and how
far reading came are stored in one transaction, files are deleted after it. So the watcher may be
killed anywhere: what was not stored is read again, what was stored is not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from standfast.errors import StandfastError
from standfast.store import writing
from standfast.store.evidence import Fact
from standfast.store.tables import request

from . import deaths, masters
from .batch import Batch
from .evidence import Death, Living, Observer, all_collectors
from .folder import WorkerFiles, delete, read_fault, scan
from .hangs import Hangs, Watched
from .liveness import DEAD, HIDDEN, Liveness
from .register import Register
from .retention import expire
from .rollups import Rollups
from .settings import Settings
from .workers import Worker

#: A batch is stored when it has so many records or has taken so many bytes of journal.
BATCH_RECORDS = 40_000
BATCH_BYTES = 16 * 1024 * 1024
#: How much is read at once, and of one worker before it is the next one's turn, in bytes.
_READ_BYTES = 512 * 1024
_TURN_BYTES = 8 * 1024 * 1024
#: So many journals are kept open between passes; further ones are opened anew each time.
_OPEN_FILES = 256
#: How often, and for how long at a time while there is other work, in seconds.
_HOUSEKEEPING_S = 1.0
_HOUSEKEEPING_SHARE_S = 0.2

#: (requests stored, bytes of journal read, bytes there were at the start).
Progress = Callable[[int, int, int], None]


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
    ) -> None:
        """``warn`` is told once of everything that is not as it should be."""
        self._journal = journal
        self._engine = engine
        self._settings = settings or Settings()
        self._tell = warn
        self._told: set[str] = set()
        self._progress = progress
        self._liveness = Liveness()
        self._hangs = Hangs()
        sources = [*all_collectors(self._settings), self._hangs.stacks]
        self._observer = Observer(sources, self._settings.sample_s)
        self._housekeeping_at = 0.0
        self._hangs_at = 0.0
        self._total_bytes = 0
        #: Requests stored since the start, and records that said nothing.
        self.requests = 0
        self.ignored = 0
        self._start_afresh()

    def drain_once(self) -> None:
        """Reads and stores all that there is now.

        Raises SQLAlchemyError where the store is away: nothing is lost then, and the next call
        goes on where the last one that went well had come to. Raises StandfastError where the
        folder cannot be read.
        """
        try:
            more = True
            while more:
                with _no_collection():
                    more = self._pass()
                self._keep_house()
            self._see_hangs()
        except SQLAlchemyError:
            self._start_afresh()
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
        for worker in self._workers.values():
            worker.close()
        self._liveness.close()
        self._observer.close()

    def _start_afresh(self) -> None:
        """Forgets what was read and not stored."""
        for worker in getattr(self, "_workers", {}).values():
            worker.close()
        self._workers: dict[tuple[str, str], Worker] = {}
        self._unreadable: dict[tuple[str, str], list[int]] = {}
        self._register = Register(self._engine, self._settings)
        self._batch = Batch()
        self._batch_records = 0
        self._batch_bytes = 0
        #: Masters may have told of deaths of which nothing else is known.
        self._unsettled = True

    def _pass(self) -> bool:
        """One round; whether another one may find more at once."""
        self._see_who_lives()
        unsettled, self._unsettled = self._unsettled, False
        more = self._look_around()
        if unsettled:
            self._settle()
        self._observer.look(self._living())
        finished = []
        for worker in self._workers.values():
            whole = self._read(worker)
            if len(self._workers) > _OPEN_FILES:
                worker.close()
            if not whole:
                more = True
            elif worker.dead:
                finished.append(worker)
        self._store(finished)
        return more or self._unsettled

    def _settle(self) -> None:
        """Tells the workers that died before their first request from those whose journal has
        been found by now."""
        with writing(self._engine) as connection:
            rollups = Rollups()
            known = [worker.source.worker_id for worker in self._workers.values()]
            failed = masters.settle(connection, known, rollups)
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

    def _see_who_lives(self) -> None:
        states = self._liveness.states([worker.process for worker in self._workers.values()])
        for worker in self._workers.values():
            state = states[worker.process]
            worker.dead = state == DEAD
            if state == HIDDEN:
                self._warn(
                    f"{worker.files.folder.name}: workers run in another pid namespace, so their"
                    " deaths cannot be seen; run the watcher in it, or on the host itself"
                )

    def _living(self) -> list[Living]:
        found = []
        for worker in self._workers.values():
            pid = self._liveness.pid(worker.process)
            if not worker.dead and pid is not None:
                found.append(Living(worker.source.worker_id, worker.process, pid))
        return found

    def _look_around(self) -> bool:
        """Finds the files of all workers; whether there is one whose life is not known yet."""
        try:
            found = scan(self._journal, self._warn)
        except OSError as error:
            raise StandfastError(
                f"journal folder {self._journal}: {error.strerror}; name another with --journal,"
                " or run as a user that may read it"
            ) from None
        new = False
        for key, files in found.items():
            if key in self._workers:
                self._workers[key].files = files
            elif self._unreadable.get(key) != files.numbers:
                new = self._add(key, files) or new
        for key, worker in self._workers.items():
            if key not in found:
                worker.files = worker.files._replace(numbers=[])
        if new and self._progress and not self._total_bytes:
            self._total_bytes = self._bytes_left()
        return new

    def _add(self, key: tuple[str, str], files: WorkerFiles) -> bool:
        worker = self._register.worker(files)
        if isinstance(worker, Worker):
            self._workers[key] = worker
            return True
        self._warn(f"{files.segment(files.numbers[0])}: {worker}; left alone")
        self._unreadable[key] = files.numbers
        return False

    def _read(self, worker: Worker) -> bool:
        """Reads one worker's journal for a while; whether it was read to its present end."""
        turn = _TURN_BYTES
        while turn > 0:
            try:
                records, taken = worker.read(_READ_BYTES, self._warn)
            except OSError as error:
                self._warn(f"{worker.files.segment(worker.read_segment)}: {error.strerror}")
                return True
            if not taken:
                return True
            turn -= taken
            self._batch.take(worker.source, records)
            self._batch_records += len(records)
            self._batch_bytes += taken
            if self._batch_records >= BATCH_RECORDS or self._batch_bytes >= BATCH_BYTES:
                self._store([])
        return False

    def _store(self, finished: list[Worker]) -> None:
        """Stores the batch and the deaths of ``finished``, then deletes what was read."""
        changed = [worker for worker in self._workers.values() if worker.changed]
        batch = self._batch
        unseen: list[Death] = []
        if changed or finished:
            batch.seal()
            facts = {dead.source.worker_id: self._facts_of(dead) for dead in finished}
            with writing(self._engine) as connection:
                batch.store(connection)
                for worker in changed:
                    worker.store(connection)
                reading = {worker.source.worker_id for worker in self._workers.values()}
                if masters.store_said(connection, batch.said, reading, batch.rollups):
                    self._unsettled = True
                for worker in finished:
                    # Its children's journals were known before its own was read to the end.
                    reporter_id = worker.source.worker_id
                    unseen += masters.settle(connection, [reporter_id], batch.rollups)
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
        self._ask_about(unseen)
        for worker in changed + finished:
            worker.delete_read(self._warn, buried=worker in finished)
        for worker in finished:
            self._forget(worker)
        self.requests += batch.closed
        self.ignored += batch.ignored
        self._batch = Batch()
        self._batch_records = self._batch_bytes = 0
        if self._progress and (changed or finished):
            done = self._total_bytes - self._bytes_left()
            self._progress(self.requests, max(done, 0), self._total_bytes)

    def _facts_of(self, dead: Worker) -> list[Fact]:
        """What is to be seen of a death; asked for before the store is locked."""
        alive_ns = dead.source.last_seen_ns
        died_ns = self._liveness.died_ns(dead.process) or alive_ns
        pid = self._liveness.pid(dead.process)
        return self._observer.facts(
            Death(dead.source.worker_id, dead.process, pid, alive_ns, died_ns)
        )

    def _bytes_left(self) -> int:
        return sum(worker.bytes_left() for worker in self._workers.values())

    def _forget(self, worker: Worker) -> None:
        worker.close()
        self._liveness.forget(worker.process)
        key = (worker.files.folder.name, worker.files.uid)
        del self._workers[key]
        delete(worker.files.fault, self._warn)
        delete(worker.files.old_stack, self._warn)
        if worker.files.numbers:
            self._unreadable[key] = worker.files.numbers

    def _keep_house(self) -> None:
        """What time brings: torn requests fail, ordinary ones leave the store."""
        now = time.monotonic()
        if now < self._housekeeping_at:
            return
        self._housekeeping_at = now + _HOUSEKEEPING_S
        late = self._observer.late_facts()
        with writing(self._engine) as connection:
            living = [worker.source.worker_id for worker in self._workers.values()]
            batch = Batch()
            mine = request.c.worker_id.in_(living)
            deaths.fail_aborted(connection, mine, time.time_ns(), batch.rollups)
            for death, facts in late:
                deaths.learn(connection, death.worker_id, facts, batch.rollups)
            batch.rollups.store(connection)
        while self._expire() and time.monotonic() < now + _HOUSEKEEPING_SHARE_S:
            pass

    def _see_hangs(self) -> None:
        """Looks for requests that do not end; only when all that is written has been read."""
        now = time.monotonic()
        if now < self._hangs_at:
            return
        self._hangs_at = now + _HOUSEKEEPING_S
        living = {one.worker_id: one for one in self._living()}
        self._hangs.see(
            self._engine,
            [
                Watched(
                    living[worker.source.worker_id],
                    worker.source.application_id,
                    max(int(min(self._settings.hang_s, 1e9) * 1e9), worker.source.slow_ns),
                )
                for worker in self._workers.values()
                if worker.source.worker_id in living
            ],
        )

    def _expire(self) -> bool:
        with writing(self._engine) as connection:
            keep_ns = int(self._settings.keep_ordinary_s * 1e9)
            return expire(connection, keep_ns, time.time_ns())

    def _warn(self, words: str) -> None:
        # File names are anybody's words: nothing in them may act on a terminal.
        words = "".join([c if c.isprintable() else ascii(c)[1:-1] for c in words])
        if words not in self._told and len(self._told) < 10_000:
            self._told.add(words)
            self._tell(words)


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


def _store_is_away(error: SQLAlchemyError) -> str:
    return f"the store cannot be written to ({getattr(error, 'orig', None) or error})"
