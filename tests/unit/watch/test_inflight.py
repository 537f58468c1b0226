from __future__ import annotations

import time
from pathlib import Path

import pytest

from standfast.journal.format import ABORTED, MIN_SEGMENT_SIZE, RUNNING
from standfast.watch.inflight import BACKGROUND, in_flight
from standfast.watch.inflight import RUNNING as STATE_RUNNING
from tests.unit.watch.journals import SECOND, House, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_what_is_open_in_a_living_worker_is_in_flight_the_oldest_first(house: House) -> None:
    journal, other = house.journal(), house.journal(living("blog"))
    for each in (other, journal):
        each.now_ns = time.time_ns() - 5 * SECOND
    other.now_ns -= 2 * SECOND
    seqs = [journal.begin(f"/{n}") for n in range(3)]
    other.begin("/oldest")
    journal.end(seqs[1])
    house.journal(dead()).begin("/dead")
    found = in_flight(str(house.folder))
    assert [one.uri for one in found] == ["/oldest", "/0", "/2"]
    assert [one.app for one in found] == ["blog", "shop", "shop"]
    assert found[1].id == f"{journal.uid}-{seqs[0]}"
    assert 4 < found[1].age_s < 60 < 60 + found[0].age_s
    assert (found[1].worker_pid, found[1].state) == (living().pid, STATE_RUNNING)
    assert [one.uri for one in in_flight(str(house.folder), "blog")] == ["/oldest"]


def test_a_complete_response_whose_code_runs_on_is_background(house: House) -> None:
    journal = house.journal()
    journal.request("/mail", flags=RUNNING)
    assert [one.state for one in in_flight(str(house.folder))] == [BACKGROUND]
    journal.end(1)
    assert in_flight(str(house.folder)) == []


def test_a_request_torn_out_is_not_in_flight(house: House) -> None:
    house.journal().request("/export", 0, flags=ABORTED)
    assert in_flight(str(house.folder)) == []


def test_a_store_adds_what_began_in_a_segment_that_is_gone(house: House) -> None:
    journal = house.journal(segment_size=MIN_SEGMENT_SIZE)
    long, longer, mail = journal.begin("/long"), journal.begin("/longer"), journal.begin("/mail")
    journal.end(mail, flags=RUNNING)
    for _ in range(3000):
        journal.request("/" + "x" * 100)
    house.drain()
    assert len(journal.files()) == 1
    assert in_flight(str(house.folder)) == []
    found = in_flight(str(house.folder), engine=house.engine)
    assert [(one.uri, one.state) for one in found] == [
        ("/long", STATE_RUNNING),
        ("/longer", STATE_RUNNING),
        ("/mail", BACKGROUND),
    ]
    # Closed in the journal, and not stored yet.
    journal.end(long)
    found = in_flight(str(house.folder), engine=house.engine)
    assert [one.id for one in found] == [f"{journal.uid}-{longer}", f"{journal.uid}-{mail}"]


def test_files_that_do_not_belong_there_do_not_matter(house: House) -> None:
    journal = house.journal()
    journal.begin("/one")
    (journal.app_folder / "1-00000000.000001.journal").write_bytes(b"garbage")
    (house.folder / "file").touch()
    assert [one.uri for one in in_flight(str(house.folder))] == ["/one"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        in_flight(str(tmp_path / "nowhere"))
