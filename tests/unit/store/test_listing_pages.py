"""Lists that are turned over and written out while rows come and go."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from standfast.store import writing
from standfast.store.listing import ORDERS, Cursor, Wanted, closed_page, count_flying
from standfast.store.people import add_person, open_session
from standfast.store.tables import FAILED, request, worker
from standfast.web import create_app
from standfast.web.site import SESSION_COOKIE, Site
from tests.unit.watch.journals import SECOND, House, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    """1,250 failed requests on three routes, with some of the same duration, status and time."""
    house = House(tmp_path)
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() - 60 * SECOND
    for number in range(1_250):
        if number % 5 == 0:
            journal.now_ns += SECOND // 100
        else:
            journal.now_ns -= SECOND // 1000
        seq = journal.begin(f"/{'abc'[number % 3]}")
        journal.end(seq, (500, 502, 0)[number % 3], duration_s=number % 7 / 100, error=b"no\n")
    house.drain()
    return house


def _more(house: House, count: int = 10) -> None:
    """Newer rows, as a live site has them all the time."""
    (row,) = house.rows(request, id=1)
    (whose,) = house.rows(worker)
    last = max(each.seq for each in house.rows(request))
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    with writing(house.engine) as connection:
        for number in range(count):
            new = {"seq": last + 1 + number, "begun_ns": time.time_ns(), "worker_id": whose.id}
            connection.execute(request.insert().values(values | new))


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_pages_follow_one_another_without_a_gap_while_rows_come(
    house: House, order: str, ascending: bool
) -> None:
    there = {row.id for row in house.rows(request)}
    seen: list[int] = []
    after: Cursor | None = None
    pages = 0
    while pages == 0 or after is not None:
        found = closed_page(
            house.engine, FAILED, Wanted(1), order=order, ascending=ascending, after=after, limit=97
        )
        seen += [row.id for row in found.rows]
        after, pages = found.after, pages + 1
        _more(house, 3)
    assert len(seen) == len(set(seen)), "none twice"
    assert there <= set(seen), "none left out"
    assert pages >= 13


def _signed_in(site: Site, client: TestClient) -> None:
    person = add_person(site.engine, "ada", "correct horse battery", [], True)
    token = open_session(site.engine, person.id, time.time_ns())
    client.cookies.set(SESSION_COOKIE, site.signed(token, "session"))


def test_an_export_of_a_live_site_has_each_row_once(house: House) -> None:
    """Rows come after each part of the export has been read, and one goes."""
    there = {row.id: row for row in house.rows(request)}
    site = Site(house.engine)
    counted: list[str] = []
    parts = 0

    def hear(_c: object, _n: object, statement: str, _p: object, _x: object, _m: object) -> None:
        nonlocal parts
        if "count(" in statement:
            counted.append(statement)
        if statement.startswith("SELECT") and "request.id IN (" in statement:
            parts += 1
            if parts == 1:
                _more(house, 700)
                with writing(house.engine) as connection:
                    connection.execute(request.delete().where(request.c.id == min(there)))

    with TestClient(create_app(site)) as client:
        _signed_in(site, client)
        event.listen(house.engine, "before_cursor_execute", hear)
        rows = client.get("/apps/1/errors.json?period=all").json()
        event.remove(house.engine, "before_cursor_execute", hear)
    names = [row["id"] for row in rows]
    assert len(names) == len(set(names)) == 1_249
    assert parts == 3
    assert counted == []


def test_a_page_leads_to_the_next_and_back_to_the_beginning(house: House) -> None:
    site = Site(house.engine)
    with TestClient(create_app(site)) as client:
        _signed_in(site, client)
        path, seen = "/apps/1/errors?period=all&sort=-status", 0
        while path:
            text = client.get(path).text
            seen += text.count('<td class="t">')
            _, found, rest = text.partition('rel="next"')
            path = ""
            if found:
                head = text[: text.index('rel="next"')]
                path = head[head.rindex('href="') + 6 :].partition('"')[0].replace("&amp;", "&")
        assert seen >= 1_250
        assert 'rel="start"' in text
        assert "1\u202f250" in text
        for wrong in ("x", "1~x", "~1", f"{2**64}~1", "1~" + "9" * 30):
            assert client.get(f"/apps/1/errors?after={wrong}").status_code == 400


def test_what_is_in_flight_is_counted_without_reading_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = house.journal(living())
    for _ in range(600):
        journal.begin("/long")
    house.drain()
    assert count_flying(house.engine, 1) == 600
    monkeypatch.setattr("standfast.store.listing.COUNTED", 500)
    assert count_flying(house.engine, 1) is None
    site = Site(house.engine)
    with TestClient(create_app(site)) as client:
        _signed_in(site, client)
        assert "more than" in client.get("/apps/1").text
        rows = json.loads(client.get("/apps/1/inflight.json").text)
        assert all(row["age_s"] >= 0 for row in rows)
