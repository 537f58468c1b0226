"""Verdicts kept in memory: as good as new ones, whatever has been stored since."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from standfast.diagnose.verdict import verdicts
from standfast.store import writing
from standfast.store.evidence import EXIT, TRACEBACK, Fact, add_facts
from standfast.store.period import ALWAYS, Period
from standfast.store.queries import applications
from standfast.store.tables import DEATH, HANG, incident
from standfast.watch.retention import Kept, incidents
from standfast.web import judgements, ranker
from standfast.web import rankings as web_rankings
from standfast.web.judgements import Judgements
from standfast.web.rankings import Rankings
from tests.unit.watch.journals import START_NS, House, dead, wait_until


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(judgements, "FRESH_S", 0.0)
    return House(tmp_path)


def crash(house: House, pid: int, uri: str = "/label/1", app: str = "shop") -> None:
    """A worker that is gone, with one request open."""
    journal = house.journal(dead(app, pid))
    journal.request("/")
    journal.begin(uri)
    house.drain()


def test_new_incidents_are_judged_as_they_come_and_the_newest_is_first(house: House) -> None:
    known = Judgements(house.engine)
    crash(house, 4001)
    ((app_id, _),) = applications(house.engine)
    assert len(list(known.of(app_id))) == 1
    crash(house, 4002, "/search?q=tea")
    found = list(known.of(app_id))
    assert [each.id for each in found] == [2, 1]
    assert "/search?q=tea" in found[0].text
    assert found[0].routes == ("/search",)


def test_a_verdict_follows_its_evidence(house: House) -> None:
    known = Judgements(house.engine)
    crash(house, 4001)
    ((app_id, _),) = applications(house.engine)
    (before,) = known.of(app_id)
    assert before.judged.verdict.party == "undetermined"
    with writing(house.engine) as connection:
        died = house.row(incident)
        at_ns = died.died_ns
        fault = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call):"
        facts = [
            Fact(EXIT, "pidfd", at_ns, "", {"signal": "SIGSEGV"}),
            Fact(TRACEBACK, "faulthandler", at_ns, fault, {"signal": "SIGSEGV", "thread": 1}),
        ]
        add_facts(connection, died.worker_id, facts)
    (after,) = known.of(app_id)
    assert after.judged.verdict == verdicts(house.engine, [1])[1]
    assert after.judged.verdict.party == "application"


def test_a_period_has_the_incidents_within_it_and_no_others(house: House) -> None:
    crash(house, 4001)
    known = Judgements(house.engine)
    ((app_id, _),) = applications(house.engine)
    died_ns = house.row(incident).died_ns
    assert len(list(known.of(app_id, Period(died_ns, died_ns + 1)))) == 1
    assert list(known.of(app_id, Period(died_ns + 1))) == []
    assert list(known.of(app_id, Period(START_NS, died_ns))) == []
    assert list(known.of(app_id + 1)) == []
    assert known.one(app_id, 1) is not None
    assert known.one(app_id + 1, 1) is None


@pytest.mark.parametrize("few", [200, 0], ids=["in this process", "in a process of its own"])
def test_a_ranking_is_made_beside_the_page_and_again_when_there_is_more(
    house: House, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_rankings, "_FEW", few)
    crash(house, 4001)
    (app,) = applications(house.engine)
    rankings = Rankings(house.engine, Judgements(house.engine))
    try:
        seen = []
        for version in (1, 2):
            end = time.monotonic() + 20
            while time.monotonic() < end:
                found = rankings.of(app, "all", Period())
                if found is not None and found.incidents == version:
                    break
                time.sleep(0.05)
            assert found is not None and found.ranking is not None
            seen.append((found.incidents, found.ranking.suspects[0].trait))
            crash(house, 4002 + version)
        assert found is not None
        assert seen == [(1, "/label/{int}"), (2, "/label/{int}")]
        assert set(found.culprits) == {1, 2}
    finally:
        rankings.close()


def test_a_patient_page_waits_for_the_ranking_and_an_end_waits_for_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_rankings, "_FEW", 0)
    crash(house, 4001)
    (app,) = applications(house.engine)
    rankings = Rankings(house.engine, Judgements(house.engine))
    assert rankings.of(app, "all", Period(), 0.0) is None
    found = rankings.of(app, "all", Period(), 20.0)
    assert found is not None
    assert found.incidents == 1
    crash(house, 4002)
    again = rankings.of(app, "all", Period(), 0.0)
    assert again == found, "the last one, while the next is being made"
    began = time.monotonic()
    rankings.close()
    assert rankings.of(app, "all", Period(), 20.0) == found
    assert time.monotonic() - began < 5


def test_what_could_not_be_read_is_judged_when_it_can(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is away for one moment, while an incident is being judged."""
    crash(house, 4001)
    known = Judgements(house.engine)
    ((app_id, _),) = applications(house.engine)
    assert len(list(known.of(app_id))) == 1
    crash(house, 4002)

    def fails(*_: object) -> object:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    with monkeypatch.context() as away:
        away.setattr(judgements, "load", fails)
        with pytest.raises(OperationalError):
            list(known.of(app_id))
    assert [each.id for each in known.of(app_id)] == [2, 1]


def test_what_leaves_the_store_is_forgotten_and_its_number_may_come_again(house: House) -> None:
    for pid in (4001, 4002):
        crash(house, pid)
    with writing(house.engine) as connection:
        connection.execute(incident.update().where(incident.c.id == 1).values(died_ns=1))
    known = Judgements(house.engine)
    ((app_id, _),) = applications(house.engine)
    assert [each.judged.case.pid for each in known.of(app_id)] == [4002, 4001]
    with writing(house.engine) as connection:
        assert incidents(connection, Kept(2)) is False
    assert [each.judged.case.pid for each in known.of(app_id)] == [4002]
    with writing(house.engine) as connection:
        assert incidents(connection, Kept(2**62)) is False
    for pid in (4003, 4004):
        crash(house, pid)
    found = [(each.id, each.judged.case.pid) for each in known.of(app_id)]
    assert found == [(2, 4004), (1, 4003)]


def test_a_hang_that_ends_in_death_is_judged_again(house: House) -> None:
    crash(house, 4001)
    with writing(house.engine) as connection:
        connection.execute(incident.update().values(kind=HANG))
    known = Judgements(house.engine)
    ((app_id, _),) = applications(house.engine)
    assert [each.judged.case.kind for each in known.of(app_id)] == [HANG]
    with writing(house.engine) as connection:
        died_ns = incident.c.died_ns + 1
        connection.execute(incident.update().values(kind=DEATH, died_ns=died_ns))
    assert [each.judged.case.kind for each in known.of(app_id)] == [DEATH]


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No ranking is made before this is set."""
    event = threading.Event()
    made = ranker.make

    def slowly(*wanted: Any) -> Any:
        assert event.wait(60)
        return made(*wanted)

    monkeypatch.setattr(ranker, "make", slowly)
    return event


def test_who_waits_for_the_rankings_of_one_application_leaves_threads_to_others(
    house: House, go_on: threading.Event
) -> None:
    """Whoever has a share link may ask as often as they like while a ranking is being made."""
    crash(house, 4001)
    crash(house, 4002, app="blog")
    rankings = Rankings(house.engine, Judgements(house.engine))
    apps = {name: (number, name) for number, name in applications(house.engine)}
    answers: list[tuple[str, object]] = []

    def ask(name: str) -> None:
        answers.append((name, rankings.of(apps[name], "all", ALWAYS, 60)))

    def ask_often(name: str, times: int) -> list[threading.Thread]:
        askers = [threading.Thread(target=ask, args=(name,)) for _ in range(times)]
        for asker in askers:
            asker.start()
        return askers

    askers = ask_often("shop", 20)
    wait_until(lambda: len(answers) == 16)
    askers += ask_often("blog", 1)
    go_on.set()
    for asker in askers:
        asker.join()
    assert answers[:16] == [("shop", None)] * 16
    rest = sorted(name for name, answer in answers[16:] if answer is not None)
    assert rest == ["blog", *["shop"] * 4]
    rankings.close()


def test_many_rankings_of_one_application_delay_and_drop_none_of_another(
    house: House, go_on: threading.Event
) -> None:
    crash(house, 4001)
    crash(house, 4002, app="blog")
    rankings = Rankings(house.engine, Judgements(house.engine))
    apps = {name: (number, name) for number, name in applications(house.engine)}
    waiting = threading.Thread(target=lambda: rankings.of(apps["blog"], "all", ALWAYS, 60))
    for number in range(40):
        assert rankings.of(apps["shop"], f"{number}", ALWAYS, 0) is None
        if number == 5:
            waiting.start()
            wait_until(lambda: (apps["blog"][0], "all") in rankings._entries)
    kept = [key for key in rankings._entries if key[0] == apps["shop"][0]]
    assert [name for _, name in kept] == [f"{number}" for number in range(24, 40)]
    turns = list(rankings._queues)
    assert turns.index(apps["blog"][0]) <= 1, "it is the next but one at the latest"
    go_on.set()
    waiting.join(60)
    assert not waiting.is_alive()
    rankings.close()
