"""A store that is locked for a while costs nothing but time."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest

from standfast.errors import StandfastError
from standfast.store import open_store, opening
from standfast.store.tables import ordinary_request, request
from standfast.watch import Settings, Watcher
from tests.unit.watch.journals import House, dead, wait_until

fork = multiprocessing.get_context("fork")


def hold(store: str, held: object, release: object) -> None:
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    held.set()  # type: ignore[attr-defined]
    release.wait(60)  # type: ignore[attr-defined]
    connection.execute("ROLLBACK")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.1)
    return House(tmp_path, Settings(keep_ordinary_s=1e9, store_wait_s=0.5))


def run(place: str, said: str) -> None:
    """A watcher in a process of its own; what it warns of goes into a file."""
    opening.LOCK_WAIT_S = 0.1
    engine = open_store(f"{place}/store.db")

    def warn(words: str) -> None:
        with Path(said).open("a") as file:
            file.write(words + "\n")

    settings = Settings(poll_s=0.01, keep_ordinary_s=1e9)
    Watcher(f"{place}/journal", engine, settings, warn=warn).run_forever()


def test_nothing_is_lost_while_another_program_holds_the_store(
    house: House, tmp_path: Path
) -> None:
    journal = house.journal()
    said = tmp_path / "said"
    said.touch()
    running = fork.Process(target=run, args=(str(tmp_path), str(said)))
    running.start()
    try:
        journal.request()
        wait_until(lambda: len(house.rows(ordinary_request)) == 1)
        held, release = fork.Event(), fork.Event()
        holder = fork.Process(target=hold, args=(house.url, held, release))
        holder.start()
        assert held.wait(30)
        for number in range(100):
            journal.request("/" + "x" * 100, 500 if number % 10 == 0 else 200)
        open_one = journal.begin("/still-open")
        wait_until(lambda: "locked" in said.read_text())
        time.sleep(0.5)  # several more attempts
        assert len(house.rows(ordinary_request)) == 1
        release.set()
        holder.join()
        wait_until(lambda: len(house.rows(ordinary_request)) == 91)
        journal.end(open_one, 500)
        wait_until(lambda: len(house.rows(request, outcome="failed")) == 11)
        wait_until(lambda: len(said.read_text().splitlines()) == 2)
    finally:
        running.kill()
        running.join()
    away, back = said.read_text().splitlines()
    assert "kept" in away
    assert "back" in back


def test_draining_once_gives_up_in_words_and_keeps_the_journals(house: House) -> None:
    journal = house.journal(dead())
    journal.request()
    names = journal.files()
    held, release = fork.Event(), fork.Event()
    holder = fork.Process(target=hold, args=(house.url, held, release))
    holder.start()
    assert held.wait(30)
    with pytest.raises(StandfastError, match="locked.*the journals are kept"):
        house.watcher.drain_patiently()
    assert journal.files() == names
    release.set()
    holder.join()
    house.watcher.drain_patiently()
    assert len(house.rows(ordinary_request)) == 1
    assert journal.files() == []
