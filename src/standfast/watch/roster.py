"""Which workers have journals in a folder, and which of them live."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Engine

from standfast.errors import StandfastError

from .evidence import Living
from .faults import is_store_away, said
from .folder import WorkerFiles, delete, scan
from .liveness import DEAD, FOREIGN, HIDDEN, Liveness
from .quarantine import Quarantine
from .register import Register
from .settings import Settings
from .workers import Worker

#: The application's folder and the worker's uid.
Key = tuple[str, str]


class Roster:
    """The workers of one folder; of each its files and how far they have been read.

    What cannot be read is in the ``quarantine``.
    """

    def __init__(
        self,
        journal: str,
        engine: Engine,
        settings: Settings,
        liveness: Liveness,
        warn: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._settings = settings
        self._liveness = liveness
        self._warn = warn
        self._aside: set[Key] = set()
        self._has_looked = False
        self.quarantine = Quarantine(journal, warn)
        self.workers: dict[Key, Worker] = {}
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forgets the workers and how far they have been read."""
        self.close()
        self.workers = {}
        self._unreadable: dict[Key, list[int]] = {}
        self._register = Register(self._engine, self._settings)

    def close(self) -> None:
        """Closes all files."""
        for worker in self.workers.values():
            worker.close()

    def living(self) -> list[Living]:
        """The workers that live and may be looked at."""
        found = []
        for worker in self.workers.values():
            pid = self._liveness.pid(worker.process)
            if not worker.dead and pid is not None:
                found.append(Living(worker.source.worker_id, worker.process, pid))
        return found

    def see_who_lives(self) -> None:
        """Asks the kernel which workers live."""
        states = self._liveness.states([worker.process for worker in self.workers.values()])
        for worker in self.workers.values():
            state = states[worker.process]
            worker.dead = state == DEAD
            if state == FOREIGN:
                worker.foreign = True
                self.quarantine.note(
                    worker.files.segment(worker.read_segment),
                    f"names process {worker.process.pid}, which is not of user"
                    f" {worker.process.owner}, to whom the file belongs; its requests are kept,"
                    " the process is not looked at",
                )
            if state == HIDDEN:
                self._warn(
                    f"{worker.files.folder.name}: workers run in another pid namespace, so their"
                    " deaths cannot be seen; run the watcher in it, or on the host itself"
                )

    def look_around(self) -> bool:
        """Finds the files of all workers; whether there is one whose life is not known yet."""
        try:
            found = scan(self._journal, self._warn)
        except OSError as error:
            words = (
                f"journal folder {self._journal}: {error.strerror}; name another with --journal,"
                " or run as a user that may read it"
            )
            if not self._has_looked:
                raise StandfastError(words) from None
            # It was there: descriptors are used up for a moment, or somebody moves it.
            self._warn(words)
            return False
        self._has_looked = True
        new = False
        for key, files in found.items():
            if key in self.workers:
                self.workers[key].files = files
            elif key not in self._aside and self._unreadable.get(key) != files.numbers:
                new = self._add(key, files) or new
        for key, worker in self.workers.items():
            if key not in found and worker.files.numbers:
                self.quarantine.note(
                    worker.files.folder,
                    f"the journal of process {worker.process.pid} has been deleted, and not by"
                    " this watcher: what it had not read yet is lost",
                )
                worker.files = worker.files._replace(numbers=[])
        return new

    def _add(self, key: Key, files: WorkerFiles) -> bool:
        first = files.segment(files.numbers[0])
        try:
            worker = self._register.worker(files)
        except Exception as error:
            if is_store_away(error):
                raise
            self.set_aside(key, files, error)
            return False
        if isinstance(worker, Worker):
            self.workers[key] = worker
            self.quarantine.discard(first)
            self._look_at_owner(worker)
            return True
        self.quarantine.add(first, worker)
        self._unreadable[key] = files.numbers
        return False

    def _look_at_owner(self, worker: Worker) -> None:
        """Who has the folder can delete what lies in it and write in the application's name."""
        owner = worker.process.owner
        with suppress(OSError):
            has_it = worker.files.folder.stat().st_uid
            if has_it not in (0, owner) and owner != 0:
                self.quarantine.note(
                    worker.files.folder,
                    f"belongs to user {has_it}, who can delete the journals of user {owner} in"
                    f" it; `chown {owner}` it",
                )

    def set_aside(self, key: Key, files: WorkerFiles, error: Exception) -> None:
        """Reads this journal no more: something in it cannot be stored."""
        worker = self.workers.pop(key, None)
        number = worker.read_segment if worker else files.numbers[0]
        self._aside.add(key)
        self.quarantine.add(files.segment(number), f"cannot be stored ({said(error)})")
        if worker:
            worker.close()
            self._liveness.forget(worker.process)

    def bytes_left(self) -> int:
        """How much of all journals has not been read, in bytes."""
        return sum(worker.bytes_left() for worker in self.workers.values())

    def forget(self, worker: Worker) -> None:
        """Of a worker whose death has been stored nothing more is to come."""
        worker.close()
        self._liveness.forget(worker.process)
        key = (worker.files.folder.name, worker.files.uid)
        del self.workers[key]
        delete(worker.files.fault, self._warn)
        delete(worker.files.old_stack, self._warn)
        if worker.files.numbers:
            self._unreadable[key] = worker.files.numbers
