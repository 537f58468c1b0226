"""What the ranking starts from is what the journals said."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast.diagnose.suspects import CERTAIN, rank
from standfast.diagnose.traffic import traffic
from standfast.store import writing
from standfast.store.evidence import TRACEBACK, Fact, add_facts
from standfast.store.period import Period
from standfast.store.tables import incident, request, worker
from tests.unit.watch.journals import SECOND, START_NS, House, dead


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def crash(house: House, pid: int, *uris: str) -> None:
    """A worker that serves two pages of ten milliseconds and dies within ``uris``."""
    journal = house.journal(dead(pid=pid))
    journal.request("/page/1?lang=en", duration_s=0.01)
    journal.request("/page/2", duration_s=0.01)
    for uri in uris:
        journal.begin(uri)


def test_unfinished_requests_come_with_their_traits_and_the_time_they_ran(house: House) -> None:
    crash(house, 11, "/export/7?format=pdf&empty=&to=a%20b", "/page/3")
    house.drain()
    found = traffic(house.engine, "shop")
    assert found is not None
    (only,) = found.incidents
    export, page = only.requests
    assert (export.route, page.route) == ("/export/{int}", "/page/{int}")
    assert export.parameters == (("format", "pdf"), ("empty", ""), ("to", "a b"))
    assert (export.client, export.method, export.user_agent) == ("192.0.2.1", "GET", "curl/8")
    assert export.hour == START_NS // (3600 * SECOND) % 24
    died_ns = house.row(incident).died_ns
    begun_ns = {row.uri: row.begun_ns for row in house.rows(request)}
    assert page.duration_s == (died_ns - begun_ns["/page/3"]) / 1e9
    assert [name for name, _ in found.ids] == [house.row(incident).id]
    assert found.ids[0][1] == [row.id for row in house.rows(request)]


def test_exposure_is_the_time_that_closed_requests_took(house: House) -> None:
    crash(house, 11, "/export/7")
    crash(house, 12, "/export/8")
    house.journal(dead(app="other", pid=13)).request("/page/9", duration_s=5.0)
    house.drain()
    found = traffic(house.engine, "shop")
    assert found is not None
    assert found.exposure.routes == {"/page/{int}": pytest.approx(0.04)}
    assert found.exposure.requests == 4
    lived = sum(row.died_ns - row.started_ns for row in house.rows(worker) if row.pid in (11, 12))
    assert found.exposure.worker_s == pytest.approx(lived / 1e9)
    closed = found.exposure.within("/page/{int}")
    assert sorted(one.parameters for one in closed) == [
        (),
        (),
        (("lang", "en"),),
        (("lang", "en"),),
    ]
    assert {one.duration_s for one in closed} == {0.01}
    assert found.exposure.within("/nowhere") == []


def test_the_request_of_the_crashing_thread_is_certain(house: House) -> None:
    crash(house, 11, "/export/7", "/page/3")
    house.drain()
    kept = house.rows(request)
    with writing(house.engine) as connection:
        thread = {"thread": kept[1].thread, "signal": "SIGSEGV"}
        add_facts(
            connection, kept[0].worker_id, [Fact(TRACEBACK, "faulthandler", 1, "Fatal …", thread)]
        )
        connection.execute(request.update().where(request.c.id == kept[0].id).values(thread=1))
    found = traffic(house.engine, "shop")
    assert found is not None
    assert [one.evidence for one in found.incidents[0].requests] == [1.0, CERTAIN]
    (culprits,) = rank(found.incidents, found.exposure).culprits
    assert culprits[1] > 0.99


def test_incidents_that_no_request_caused_and_older_ones_are_left_out(house: House) -> None:
    crash(house, 11, "/export/7")
    crash(house, 12, "/export/8")
    house.drain()
    first, second = house.rows(incident)
    found = traffic(house.engine, "shop", excluded=[first.id])
    assert found is not None
    assert [name for name, _ in found.ids] == [second.id]
    assert traffic(house.engine, "shop", Period(second.died_ns + 1)) is None
    assert traffic(house.engine, "nobody") is None
