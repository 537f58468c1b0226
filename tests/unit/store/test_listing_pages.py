"""Lists that are turned over and written out while rows come and go."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, event
from starlette.testclient import TestClient

from standfast.store import writing
from standfast.store.listing import ORDERS, Cursor, Wanted, closed_page, count_flying
from standfast.store.people import add_person, open_session
from standfast.store.period import Period
from standfast.store.tables import FAILED, SLOW, request, worker
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


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"route": "/a"}, range(0, 1_250, 3)),
        ({"search": "/A"}, range(0, 1_250, 3)),
        ({"status": 502}, ()),
        ({"search": "nowhere"}, ()),
    ],
)
def test_what_is_seldom_is_found_page_by_page_with_a_bounded_look_for_each(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, Any],
    expected: Sequence[int],
) -> None:
    monkeypatch.setattr("standfast.store.listing.COUNTED", 100)
    in_order = house.rows(request)
    seen: list[int] = []
    after: Cursor | None = None
    pages = 0
    while pages == 0 or after is not None:
        wanted = Wanted(1, **chosen)
        found = closed_page(house.engine, FAILED, wanted, after=after, limit=50)
        assert found.is_part
        assert found.total is not None and found.total <= 34
        seen += [row.id for row in found.rows]
        after, pages = found.after, pages + 1
    assert sorted(seen) == [in_order[at].id for at in expected]
    assert pages == 13


def test_an_order_that_no_index_has_is_that_of_the_newest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = closed_page(house.engine, FAILED, Wanted(1), limit=100).rows
    monkeypatch.setattr("standfast.store.listing.COUNTED", 100)
    seen: list[Row[Any]] = []
    after: Cursor | None = None
    for page in range(4):
        assert page == 0 or after is not None
        found = closed_page(house.engine, FAILED, Wanted(1), order="status", after=after, limit=30)
        assert (found.total, found.is_part) == (None, True)
        seen += found.rows
        after = found.after
    assert after is None
    assert {row.id for row in seen} == {row.id for row in newest}
    assert [row.status or -1 for row in seen] == sorted(row.status or -1 for row in newest)[::-1]


def test_the_longest_of_many_come_first_whenever_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    journal = house.journal(dead())
    for number in range(200):
        journal.request(f"/{'ab'[number % 2]}", duration_s=2 + number * 37 % 101)
    house.drain()
    monkeypatch.setattr("standfast.store.listing.COUNTED", 50)
    durations = sorted((row.duration_ns for row in house.rows(request)), reverse=True)
    whole = closed_page(house.engine, SLOW, Wanted(1), order="duration", limit=40)
    assert [row.duration_ns for row in whole.rows] == durations[:40]
    since = Wanted(1, Period(1), route="/b")
    seen: list[int] = []
    after: Cursor | None = None
    while not seen or after is not None:
        found = closed_page(house.engine, SLOW, since, order="duration", after=after, limit=40)
        seen += [row.duration_ns for row in found.rows]
        after = found.after
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 100


def test_a_page_says_that_not_all_were_looked_at(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("store.listing", "web.rendering", "web.views.requests"):
        monkeypatch.setattr(f"standfast.{name}.COUNTED", 100)
    with TestClient(create_app(site := Site(house.engine))) as client:
        _signed_in(site, client)
        found = client.get("/apps/1/errors?period=all&route=/a").text
        assert "of the first 100" in found
        assert "100 requests were looked at" in found
        nothing = client.get("/apps/1/errors?period=all&q=nowhere").text
        assert "No request failed" not in nothing
        assert 'rel="next"' in nothing
        ordered = client.get("/apps/1/errors?period=all&sort=status").text
        assert "In this order are the newest 100" in ordered
        plain = client.get("/apps/1/errors?period=all").text
        assert "more than 100" in plain
        assert "looked at" not in plain


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
