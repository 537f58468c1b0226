"""From the store: what belongs to an incident, and what a period comes to."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from standfast.diagnose.verdict import (
    Judged,
    combine,
    judge,
    load,
    period_verdict,
    verdicts,
)
from standfast.store import writing
from standfast.store.evidence import EXIT, TRACEBACK, Fact, add_facts
from standfast.store.tables import FAILED, incident, request, worker
from tests.unit.watch.journals import SECOND, START_NS, House, dead

from . import cases as c

VERDICTS = [judge(c.case(c.ended(how))) for how in (3, "SIGSEGV")]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def die(house: House, pid: int, uri: str, fact: Fact, app: str = "shop") -> int:
    """A worker that dies in one request; the incident's number."""
    journal = house.journal(dead(app, pid=pid))
    journal.begin(uri)
    house.drain()
    with writing(house.engine) as connection:
        worker_id = house.row(worker, pid=pid).id
        add_facts(connection, worker_id, [fact])
        died_ns = {"died_ns": START_NS + pid * SECOND}
        connection.execute(
            update(incident).where(incident.c.worker_id == worker_id).values(died_ns)
        )
        # What the watcher learns later of this death sets the incident by its worker.
        connection.execute(update(worker).where(worker.c.id == worker_id).values(died_ns))
    return int(house.row(incident, worker_id=worker_id).id)


def crash(at: int) -> Fact:
    text = "Fatal Python error: Segmentation fault"
    return Fact(TRACEBACK, "faulthandler", START_NS + at, text, {"signal": "SIGSEGV"})


def stopped(at: int) -> Fact:
    return Fact(EXIT, "pidfd", START_NS + at, "ended by SIGTERM", {"signal": "SIGTERM"})


def test_a_case_has_the_requests_the_facts_and_the_last_errors_of_its_worker(house: House) -> None:
    journal = house.journal(dead(pid=11))
    failed = journal.begin("/fails")
    journal.end(failed, 500, error=b"OSError: No space left on device")
    journal.begin("/export/7")
    house.drain()
    row = house.row(worker)
    with writing(house.engine) as connection:
        add_facts(connection, row.id, [crash(1)])
    (case,) = load(house.engine, [1, 2, 99])
    assert (case.app, case.pid, case.kind) == ("shop", 11, "death")
    (one,) = case.requests
    assert (one.method, one.uri, one.route) == ("GET", "/export/7", "/export/{int}")
    assert one.name == f"{row.uid}-{house.row(request, uri='/export/7').seq}"
    assert [fact.kind for fact in case.facts] == [TRACEBACK]
    assert case.errors == ("OSError: No space left on device",)
    assert house.row(request, outcome=FAILED).error == case.errors[0]


def test_verdicts_come_by_incident(house: House) -> None:
    first = die(house, 11, "/export/7", crash(1))
    second = die(house, 12, "/page", stopped(2))
    found = verdicts(house.engine, [first, second, 99])
    assert {number: one.cause.name for number, one in found.items()} == {
        first: "app_crash",
        second: "operator_stop",
    }
    assert verdicts(house.engine, []) == {}


def test_a_period_counts_causes_and_names_the_party_of_most(house: House) -> None:
    for pid in (11, 12, 13):
        die(house, pid, f"/export/{pid}", crash(pid))
    last = die(house, 14, "/page", stopped(14))
    die(house, 15, "/page", stopped(15), app="other")
    period = period_verdict(house.engine, "shop")
    assert period.incidents == 4
    assert period.parties == {"application": 3, "platform": 0, "operator": 1, "undetermined": 0}
    assert [(each.cause.name, each.incidents) for each in period.causes] == [
        ("app_crash", 3),
        ("operator_stop", 1),
    ]
    assert period.party == "application"
    assert period.confidence == pytest.approx(0.99 * 3 / 4)
    assert (period.first_ns, period.last_ns) == (START_NS + 11 * SECOND, START_NS + 14 * SECOND)
    assert [(each.route, each.incidents) for each in period.culprits] == [("GET /export/{int}", 3)]
    assert period.culprits[0].last.uri == "/export/13"
    assert period.clears_requests() == {last}
    later = period_verdict(house.engine, "shop", START_NS + 14 * SECOND)
    assert (later.party, list(later.outcomes)) == ("operator", [last])
    assert period_verdict(house.engine, None).incidents == 5


def test_a_period_in_which_no_party_stands_out_is_undetermined(house: House) -> None:
    for pid in (11, 12, 13):
        die(house, pid, "/page", Fact(EXIT, "pidfd", pid, "", {"signal": "SIGALRM"}))
    die(house, 14, "/page", crash(14))
    period = period_verdict(house.engine, "shop")
    assert (period.party, period.confidence) == ("undetermined", 0.0)
    assert period.parties["undetermined"] == 3


def test_a_period_without_incidents_is_empty(house: House) -> None:
    period = period_verdict(house.engine, "shop")
    assert (period.incidents, period.party, period.causes) == (0, "undetermined", ())
    assert period.as_json()["first"] is None


def test_of_ten_thousand_incidents_the_cases_of_the_examples_alone_are_kept() -> None:
    alive: set[int] = set()
    most = 0

    def judged() -> Iterator[Judged]:
        nonlocal most
        for number in range(10_000):
            case = c.case(c.ended("SIGSEGV" if number % 2 else 3))
            case = replace(case, incident_id=number, died_ns=case.died_ns + number)
            alive.add(number)
            weakref.finalize(case, alive.discard, number)
            most = max(most, len(alive))
            yield Judged(case, VERDICTS[number % 2])

    period = combine("shop", None, judged())
    assert period.incidents == 10_000
    assert len(period.examples) == 6
    assert most < 20
    assert [one.case.incident_id for one in period.examples][:3] == [9999, 9997, 9995]
    assert all(len(outcome) == 4 for outcome in period.outcomes.values())


def test_an_incident_that_followed_from_another_does_not_outweigh_it() -> None:
    """One worker of four crashed, and the server stopped the other three."""
    crashed = c.case(c.ended("SIGSEGV"), c.traceback())
    told = c.case(c.ended("SIGTERM"), c.order("failure"))
    cases = [replace(one, incident_id=n) for n, one in enumerate([crashed, told, told, told])]
    period = combine("shop", None, (Judged(case, judge(case)) for case in cases))
    assert (period.party, period.confidence) == ("application", 0.99)
    assert period.parties["operator"] == 0


def test_what_became_of_the_other_workers_belongs_to_a_case(house: House) -> None:
    die(house, 11, "/export/7", crash(1))
    last = die(house, 14, "/page", stopped(2))
    die(house, 15, "/page", stopped(3))
    die(house, 16, "/page", stopped(4), app="other")
    with writing(house.engine) as connection:
        crashed = worker.c.pid == 11
        connection.execute(update(worker).where(crashed).values(signal="SIGSEGV"))
    (case,) = load(house.engine, [last])
    assert [(one.pid, one.end) for one in case.siblings] == [(11, "SIGSEGV")]
    assert (case.beside, case.went_along, case.recorded) == (0, 1, True)
    said = judge(case).supports
    assert any(
        "the only other process of this application on this host ended too" in words
        for words in said
    )
