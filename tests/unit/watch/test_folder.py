from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from standfast.journal.format import MIN_SEGMENT_SIZE
from standfast.journal.reader import SegmentReader
from standfast.store.tables import ordinary_request, worker
from standfast.watch.folder import WorkerFiles, open_segment, scan
from tests.unit.watch.journals import House, dead, living

SPARSE = 2**40


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def fill_with_rubbish(folder: Path, app: Path, sound: bytes) -> None:
    """Everything that somebody who may write into the folder could put there."""
    (folder / "a-file").write_bytes(b"x")
    (folder / "a-link").symlink_to(app)
    os.mkfifo(folder / "a-pipe")
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "strange \x1b[31m \u202e name").mkdir()
    (app / "notes.txt").write_bytes(b"x")
    (app / "999999999999999999999999-00000000.000001.journal").write_bytes(b"x")
    (app / "1-00000000.99999999999999999999.journal").write_bytes(sound)
    (app / "1-00000000.000001.journal").write_bytes(b"")
    (app / "2-00000000.000001.journal").write_bytes(os.urandom(5000))
    (app / "3-00000000.000001.journal").write_bytes(sound)
    (app / "4-00000000.000001.journal").mkdir()
    os.mkfifo(app / "5-00000000.000001.journal")
    (app / "6-00000000.000001.journal").symlink_to("/etc/passwd")
    (app / "7-00000000.000001.journal").symlink_to("nowhere")
    with (app / "8-00000000.000001.journal").open("wb") as file:
        file.truncate(SPARSE)
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(app)  # a socket's path is short
        try:
            unix.bind("9-00000000.000001.journal")
        finally:
            os.chdir(here)
    os.mkfifo(app / "1-00000000.fault")


def test_rubbish_stops_nothing_and_stays_where_it_is(house: House) -> None:
    alive, gone = house.journal(living()), house.journal(dead())
    for journal in (alive, gone):
        journal.request()
    sound = (gone.app_folder / f"{gone.uid}.000001.journal").read_bytes()
    fill_with_rubbish(house.folder, gone.app_folder, sound)
    # The hugest file of all has a sound header: nothing but zeros comes after it.
    name = f"{gone.uid}.000002.journal"
    (gone.app_folder / name).write_bytes(sound)
    with (gone.app_folder / f"{gone.uid}.000001.journal").open("r+b") as file:
        file.truncate(SPARSE)
    before = {path for path in house.folder.rglob("*") if not path.name.startswith(gone.uid)}
    house.drain()
    house.drain()
    assert len(house.rows(ordinary_request)) == 2
    assert len(house.rows(worker)) == 2
    after = set(house.folder.rglob("*"))
    assert before <= after
    # Number 2 has the header of number 1, so it is not what its name says.
    assert {path.name for path in after - before} == {name, ".watch.aside"}
    told = len(house.warnings)
    assert told == len(set(house.warnings)) >= 12
    assert all(words.isprintable() for words in house.warnings)
    alive.request()
    house.drain()
    assert len(house.rows(ordinary_request)) == 3
    assert len(house.warnings) == told, "each is told once"


def test_a_stray_later_file_does_not_end_the_segment_of_a_living_worker(house: House) -> None:
    journal = house.journal()
    journal.request()
    (journal.app_folder / f"{journal.uid}.000009.journal").write_bytes(b"x" * 5000)
    for _ in range(3):
        house.drain()
        journal.request()
    house.drain()
    assert len(house.rows(ordinary_request)) == 4


def test_a_segment_that_a_listing_lacks_is_asked_for_by_name(house: House) -> None:
    journal = house.journal(segment_size=MIN_SEGMENT_SIZE)
    journal.request()
    while len(journal.files()) < 4:
        journal.request("/" + "x" * 1000)
    files = WorkerFiles(journal.app_folder, journal.uid, [4])
    assert [files.next_segment(number) for number in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, None]
    files.segment(2).unlink()
    assert files.next_segment(2) == 3
    assert files._replace(numbers=[2**32 - 1]).next_segment(5) == 2**32 - 1


def test_a_segment_is_opened_only_in_its_own_place(house: House) -> None:
    journal = house.journal()
    journal.request()
    (files,) = scan(str(house.folder), house.warnings.append).values()
    reader = open_segment(files, 1)
    assert isinstance(reader, SegmentReader)
    reader.close()
    for other, number in ((files._replace(uid="1-00000000"), 1), (files, 2)):
        os.link(files.segment(1), other.segment(number))
        assert open_segment(other, number) == "its header belongs to another file"


def test_an_application_may_have_any_name(house: House) -> None:
    names = ["..", "a/b", ".hidden", "über shop", "%2e", "x" * 150, "\x1b[31m", "a\nb"]
    for number, name in enumerate(names):
        house.journal(dead(name, pid=100 + number)).request()
    house.drain()
    assert len(house.rows(ordinary_request)) == len(names)
    assert house.warnings == []
