"""One incident of any size: what is read, judged and shown of it has an end, and says so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from standfast.cli.main import main
from standfast.diagnose.traffic import traffic
from standfast.diagnose.verdict import load
from standfast.store.people import add_person, open_session
from standfast.web import create_app
from standfast.web.site import SESSION_COOKIE, Site
from tests.unit.watch.journals import House, dead

OPEN = 2_500


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A worker that died with 2,500 requests open, and one with two."""
    house = House(tmp_path)
    big = house.journal(dead(pid=10))
    for number in range(OPEN):
        big.begin(f"/open/{number}")
    small = house.journal(dead(pid=11))
    small.begin("/one")
    small.begin("/two")
    house.drain()
    return house


def test_reports_list_some_and_count_the_others(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--store", house.url)
    assert main(["report", "crashes", *folder]) == 1
    shown = capsys.readouterr().out
    assert f"and {OPEN - 20:,} more" in shown
    assert shown.count("/open/") <= 25
    assert main(["report", "crashes", "--json", *folder]) == 1
    found = {row["worker_pid"]: row for row in json.loads(capsys.readouterr().out)}
    assert (len(found[10]["requests"]), found[10]["requests_left_out"]) == (1_000, OPEN - 1_000)
    assert (len(found[11]["requests"]), found[11]["requests_left_out"]) == (2, 0)
    number = str(found[10]["incident"])
    assert main(["report", "incident", number, *folder]) == 1
    shown = capsys.readouterr().out
    assert f"with {OPEN:,} in flight" in shown
    assert f"and {OPEN - 50:,} more requests begin" in shown


def test_verdicts_and_suspects_read_some(house: House) -> None:
    cases = {case.pid: case for case in load(house.engine, [1, 2])}
    assert [(len(cases[pid].requests), cases[pid].left_out) for pid in (10, 11)] == [
        (1_000, OPEN - 1_000),
        (2, 0),
    ]
    known = traffic(house.engine, "shop")
    assert known is not None
    assert sorted(len(numbers) for _, numbers in known.ids) == [2, 1_000]


def test_pages_stay_small(house: House) -> None:
    site = Site(house.engine)
    person = add_person(house.engine, "ada", "correct horse battery", [], True)
    with TestClient(create_app(site)) as client:
        token = open_session(house.engine, person.id, time.time_ns())
        client.cookies.set(SESSION_COOKIE, site.signed(token, "session"))
        for path in ("/crashes", "/crashes/1", "/crashes/2"):
            answer = client.get(f"/apps/1{path}")
            assert answer.status_code == 200
            assert answer.text.count("/open/") <= 450, path
            assert len(answer.content) < 300_000, path
        pages = [client.get(f"/apps/1/crashes/{number}").text for number in (1, 2)]
        assert sum("And 2\u202f400 more requests" in text for text in pages) == 1
        rows = client.get("/apps/1/crashes.csv").text
        assert f",{OPEN}," in rows


def test_a_worker_that_lives_shows_its_oldest_and_how_many_there_are(tmp_path: Path) -> None:
    house = House(tmp_path)
    journal = house.journal()
    for number in range(OPEN):
        journal.begin(f"/open/{number}")
    house.drain()
    person = add_person(house.engine, "ada", "correct horse battery", [], True)
    site = Site(house.engine)
    with TestClient(create_app(site)) as client:
        token = open_session(house.engine, person.id, time.time_ns())
        client.cookies.set(SESSION_COOKIE, site.signed(token, "session"))
        page = client.get("/apps/1/inflight").text
        assert "The oldest 500 of 2\u202f500." in page
        assert page.count("/open/") == 500
