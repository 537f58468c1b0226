"""What the ranking starts from is what the journals said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.diagnose.suspects import CERTAIN, rank
from standfast.diagnose.traffic import likelihood_ratio, traffic
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


def test_the_request_that_a_verdict_names_is_as_certain_as_the_verdict(house: House) -> None:
    crash(house, 11, "/export/7", "/page/3")
    house.drain()
    kept, row = house.row(request, uri="/page/3"), house.row(worker)
    named = f"{row.uid}-{kept.seq}"
    number = house.row(incident).id
    found = traffic(house.engine, "shop", culprits={number: (named, 0.99)})
    assert found is not None
    assert [one.evidence for one in found.incidents[0].requests] == [1.0, CERTAIN]
    (culprits,) = rank(found.incidents, found.exposure).culprits
    assert culprits[1] > 0.99
    found = traffic(house.engine, "shop", culprits={number: (named, 0.75)})
    assert found is not None
    assert [one.evidence for one in found.incidents[0].requests] == [1.0, pytest.approx(3.0)]


@given(st.floats(0, 1), st.integers(1, 1_000_000))
def test_evidence_is_never_less_than_none_and_gives_back_its_probability(
    probability: float, in_flight: int
) -> None:
    ratio = likelihood_ratio(probability, in_flight)
    assert 1 <= ratio <= CERTAIN
    if 1 < ratio < CERTAIN:
        others = max(in_flight - 1, 1)
        assert ratio / (ratio + others) == pytest.approx(probability)


def test_incidents_whose_culprits_are_known_are_not_said_to_strike_blindly(house: House) -> None:
    """Three of each of two routes, thirty other requests: what is known of each decides."""
    names = {}
    for pid in range(11, 17):
        uri = "/export/7" if pid % 2 else "/report/7"
        crash(house, pid, uri, *[f"/page/{pid}{n}" for n in range(5)])
        house.drain()
        row = house.row(worker, pid=pid)
        seq = house.row(request, worker_id=row.id, uri=uri).seq
        names[house.row(incident, worker_id=row.id).id] = (f"{row.uid}-{seq}", 0.99)
    found = traffic(house.engine, "shop", culprits=names)
    assert found is not None
    ranking = rank(found.incidents, found.exposure)
    assert {one.trait for one in ranking.suspects[:2]} == {"/export/{int}", "/report/{int}"}
    assert all(one.probability > 0.95 for one in ranking.suspects[:2]), ranking
    assert "blind" not in ranking.statement


def test_durations_that_no_integer_can_add_up_do_not_stop_the_ranking(house: House) -> None:
    journal = house.journal(dead(pid=11))
    for duration_s in [2**62 / 1e9] * 9:
        journal.request("/page/1", duration_s=duration_s)
    journal.begin("/export/7")
    house.drain()
    found = traffic(house.engine, "shop")
    assert found is not None
    assert found.exposure.routes["/page/{int}"] >= 2**62 / 1e9
    assert rank(found.incidents, found.exposure).suspects


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
