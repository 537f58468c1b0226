"""Journals for tests: workers that live or are dead, and the store that came of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Engine, Table, select

from standfast.journal import identity
from standfast.journal.format import BEGIN, END, END_FIXED, UNKNOWN, WEBSOCKET
from standfast.journal.identity import Identity
from standfast.journal.writer import ANSWER_SHIFT, LAST_SLOT, Writer, pack_answer
from standfast.store import open_store
from standfast.watch import Settings, Watcher

SECOND = 1_000_000_000
#: Later than any header that a test makes, as the requests of a worker are.
START_NS = time.time_ns() // SECOND * SECOND + 3600 * SECOND


def living(app: str = "shop") -> Identity:
    """The process of the test itself, which lives for as long as the test looks."""
    return identity.of_this_process(app, "gunicorn/23.0", "abc123")


def dead(app: str = "shop", pid: int = 4242, start_ticks: int = 77) -> Identity:
    """A process that is gone: whoever has its pid now was started later."""
    return Identity(app, os.uname().nodename, pid, start_ticks, identity.boot_id(), 0)


class Journal:
    """Writes requests of one worker, in order, a millisecond after one another."""

    def __init__(self, folder: Path, who: Identity, **options: Any) -> None:
        self.writer = Writer(str(folder), who, **options)
        self.uid = self.writer.uid
        self.app_folder = folder / who.app
        self.now_ns = START_NS

    def begin(
        self, uri: str = "/", *, client: str = "192.0.2.1", flags: int = 0, slot: int = -1
    ) -> int:
        self.now_ns += SECOND // 1000
        fields = "\0".join((client, "GET", uri, "shop.test", "198.51.100.7", "curl/8"))
        return self.begin_raw(fields.encode(), self.now_ns, 0x7F0000001000, flags, slot)

    def begin_raw(
        self, fields: bytes, wall_ns: int, thread: int = 1, flags: int = 0, slot: int = -1
    ) -> int:
        return self.writer.begin(fields, wall_ns, 1, thread, flags << 24 | BEGIN << 16, slot)

    def answer(self, seq: int, status: int = 200, *, duration_s: float = 0.005) -> None:
        """In the place of the request's slot: the response is complete, and the code runs on."""
        place = (seq & LAST_SLOT) << ANSWER_SHIFT
        pack_answer(self.writer.answers, place, int(duration_s * 1e9), 5, status, seq)

    def end(
        self,
        seq: int,
        status: int = 200,
        *,
        duration_s: float = 0.005,
        cpu_ns: int = UNKNOWN,
        sent: int = UNKNOWN,
        error: bytes = b"",
        flags: int = 0,
        background_s: float = 0.0,
    ) -> None:
        """``duration_s`` ends with the response; the code ran on for ``background_s`` seconds."""
        fixed = END_FIXED.pack(
            seq, int(duration_s * 1e9), cpu_ns, sent, status, int(background_s * 1e9)
        )
        self.append(END, fixed + error, flags)

    def append(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.writer.append(flags << 24 | kind << 16, body)

    def request(self, uri: str = "/", status: int = 200, **options: Any) -> int:
        seq = self.begin(uri)
        self.end(seq, status, **options)
        return seq

    def websocket(self) -> int:
        return self.begin("/chat", flags=WEBSOCKET)

    def files(self) -> list[str]:
        return sorted(file.name for file in self.app_folder.iterdir())


class House:
    """A journal folder and a store, and watchers that come and go."""

    #: Those that were made in this module of tests: at its end their files are closed.
    made: ClassVar[list[House]] = []

    def __init__(
        self, place: Path, settings: Settings | None = None, url: str | None = None
    ) -> None:
        self.folder = place / "journal"
        self.folder.mkdir(exist_ok=True)
        self.url = url or str(place / "store.db")
        # Clocks of these journals may be anything.
        self.settings = settings or Settings(
            keep_ordinary_s=1e9, keep_slow_s=1e10, keep_failed_s=1e10, keep_incidents_s=1e10,
            keep_minutes_s=1e10, keep_hours_s=1e10, keep_days_s=1e10,
        )  # fmt: skip
        self.warnings: list[str] = []
        self.engine: Engine = open_store(self.url)
        self.watcher = self.new_watcher()
        self.made.append(self)

    def close(self) -> None:
        """Closes what its watcher has open, once."""
        if self in self.made:
            self.made.remove(self)
            self.watcher.close()
            self.engine.dispose()

    def new_watcher(self) -> Watcher:
        return Watcher(str(self.folder), self.engine, self.settings, warn=self.warnings.append)

    def restart(self) -> None:
        """What a killed watcher and its successor do: nothing in memory survives."""
        if self in self.made:
            self.watcher.close()
        else:
            self.made.append(self)
        self.watcher = self.new_watcher()

    def drain(self) -> None:
        self.watcher.drain_once()

    def journal(self, who: Identity | None = None, **options: Any) -> Journal:
        return Journal(self.folder, who or living(), **options)

    def rows(self, table: Table, **where: Any) -> list[Any]:
        with self.engine.connect() as connection:
            chosen = select(table).filter_by(**where).order_by(*table.primary_key)
            return list(connection.execute(chosen).all())

    def row(self, table: Table, **where: Any) -> Any:
        (only,) = self.rows(table, **where)
        return only


def wait_until(what: Any, timeout_s: float = 60.0) -> None:
    """Polls until ``what()`` is true; an AssertionError when the time is over."""
    give_up = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.01)
