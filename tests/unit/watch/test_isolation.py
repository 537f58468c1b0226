"""One application's bytes never stop the watching of another's."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    HEADER_LIMIT,
    MIN_SEGMENT_SIZE,
    pack_header,
    unpack_header,
)
from standfast.store.tables import incident, ordinary_request, request, rollup, worker
from standfast.watch import intake
from standfast.watch.quarantine import SetAside, set_aside
from standfast.watch.workers import Overtaken
from tests.unit.watch.journals import House, Journal, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def file_of(journal: Journal) -> Path:
    return journal.app_folder / journal.files()[0]


def set_clock(journal: Journal, wall_ns: int) -> None:
    """Has the header claim that the segment was made then."""
    data = file_of(journal).read_bytes()
    header = unpack_header(data[:HEADER_LIMIT])
    assert header is not None
    head = pack_header(header._replace(wall_ns=wall_ns))
    with file_of(journal).open("r+b") as file:
        file.write(head)


def refuse(house: House, uri: str) -> None:
    """From now on the store takes no request for this URI, whoever stores it."""
    with house.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON request WHEN NEW.uri = '"
                + uri
                + "' BEGIN SELECT RAISE(ABORT, 'no such thing here'); END"
            )
        )


@pytest.mark.parametrize("wall_ns", [-(2**63), -1, 2**63 - 1])
def test_a_clock_outside_all_time_stops_nobody(house: House, wall_ns: int) -> None:
    hostile, other = house.journal(dead("evil", pid=77)), house.journal(dead("shop"))
    hostile.begin("/x")
    other.begin("/killer")
    set_clock(hostile, wall_ns)
    house.drain()
    assert {row.uri: row.outcome for row in house.rows(request)} == {
        "/x": "unfinished",
        "/killer": "unfinished",
    }
    assert len(house.rows(incident)) == 2
    assert all(0 <= row.started_ns <= 2**62 for row in house.rows(worker))


def test_no_record_sets_the_time_of_a_death_outside_all_time(house: House) -> None:
    for app, seq, wall_ns in (("a", 2**63, 2**63 - 1), ("b", 1, 2**63 - 1), ("c", 1, -(2**63))):
        journal = house.journal(dead(app))
        journal.begin("/killer")
        journal.append(BEGIN, BEGIN_FIXED.pack(seq, wall_ns, 0, 0) + b"x")
    house.drain()
    assert all(0 < row.died_ns <= 2**62 for row in house.rows(incident))
    assert all(0 < row.last_seen_ns <= 2**62 for row in house.rows(worker))


@pytest.mark.parametrize("mtime_s", [-(2**40), 2**40])
def test_the_times_of_a_file_are_its_owners_word(house: House, mtime_s: int) -> None:
    journal = house.journal(dead())
    journal.begin("/killer")
    fault = journal.app_folder / f"{journal.uid}.fault"
    fault.write_text("Fatal Python error: Segmentation fault\n\n")
    os.utime(fault, (mtime_s, mtime_s))
    house.drain()
    assert house.row(worker).signal == "SIGSEGV"
    assert house.row(request).incident_id == house.row(incident).id


def test_a_journal_that_the_store_refuses_is_set_aside_and_the_others_go_on(house: House) -> None:
    refuse(house, "/refused")
    # In the order of the folder, others come before it and after it.
    journals = [house.journal(dead(app, pid=pid)) for pid, app in enumerate("abcde", start=50)]
    for journal in journals:
        journal.request("/fine")
        journal.begin("/killer")
    journals[2].begin("/refused")
    house.drain()
    house.drain()
    assert len(house.rows(ordinary_request)) == 4
    assert len(house.rows(incident)) == 4
    assert [bool(journal.files()) for journal in journals] == [False, False, True, False, False]
    reason = "cannot be stored (no such thing here)"
    assert set_aside(str(house.folder)) == [SetAside(str(file_of(journals[2])), reason)]
    assert len([words for words in house.warnings if reason in words]) == 1
    # What comes later is read as if nothing had been; a new watcher tries again.
    house.journal(living("f")).request()
    house.drain()
    assert len(house.rows(ordinary_request)) == 5
    with house.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    house.restart()
    house.drain()
    assert len(house.rows(incident)) == 5
    assert set_aside(str(house.folder)) == []


def test_what_of_a_journal_was_stored_before_it_was_set_aside_is_not_stored_twice(
    house: House,
) -> None:
    refuse(house, "/refused")
    journal = house.journal()
    journal.request()
    house.drain()
    journal.request()
    journal.begin("/refused")
    house.drain()
    with house.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    house.restart()
    house.drain()
    assert len(house.rows(ordinary_request)) == 2
    assert house.row(request).uri == "/refused"


def test_a_store_that_is_away_is_nobodys_fault(house: House) -> None:
    journal = house.journal(dead())
    journal.request()
    with house.engine.begin() as connection:
        connection.execute(text("ALTER TABLE rollup RENAME TO elsewhere"))
    with pytest.raises(SQLAlchemyError):
        house.drain()
    assert set_aside(str(house.folder)) == []
    with house.engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO rollup"))
    house.drain()
    assert len(house.rows(ordinary_request)) == 1
    assert journal.files() == []


def test_two_watchers_of_one_folder_count_nothing_twice(house: House) -> None:
    journal = house.journal()
    for _ in range(10):
        journal.request()
    other = house.new_watcher()
    for watcher in (house.watcher, other):
        watcher.intake.roster.look_around()
        (only,) = watcher.intake.workers.values()
        assert watcher.intake.read(only)
    house.watcher.intake.store([])
    with pytest.raises(Overtaken):
        other.intake.store([])
    other.intake.start_afresh()
    journal.request()
    other.drain_once()
    assert len(house.rows(ordinary_request)) == 11
    journal.request()
    with pytest.raises(Overtaken):
        house.drain()
    house.drain()
    assert len(house.rows(ordinary_request)) == 12
    assert sum(row.count for row in house.rows(rollup)) == 12
    other.close()


def test_the_list_of_what_is_set_aside_is_its_own_users_alone(house: House) -> None:
    refuse(house, "/refused")
    house.journal(dead()).begin("/refused")
    house.drain()
    place = house.folder / ".watch.aside"
    assert place.stat().st_mode & 0o777 == 0o600
    if os.getuid() == 0:
        os.chown(place, 1002, -1)
        os.chown(house.folder, 1001, -1)
        assert set_aside(str(house.folder)) == [], "anybody else may have made it"


def test_a_folder_that_is_away_for_a_while_ends_no_watching(house: House) -> None:
    journal = house.journal()
    journal.request()
    house.drain()
    elsewhere = house.folder.rename(house.folder.with_name("elsewhere"))
    house.drain()
    assert any("No such file" in words for words in house.warnings)
    elsewhere.rename(house.folder)
    journal.request()
    house.drain()
    assert len(house.rows(ordinary_request)) == 2


def test_very_many_deaths_at_once_let_others_write_into_the_store_between_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_DEATHS", 10)
    for pid in range(35):
        house.journal(dead(pid=5000 + pid), segment_size=MIN_SEGMENT_SIZE).begin("/killer")
    stored: list[int] = [0]

    @event.listens_for(house.engine, "commit")
    def count(connection: Connection) -> None:
        stored.append(connection.execute(select(func.count()).select_from(incident)).scalar_one())

    house.drain()
    assert stored[-1] == 35
    assert max(after - before for before, after in itertools.pairwise(stored)) == 10
    assert list(house.folder.rglob("*.journal")) == []
