from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from standfast.store import writing
from standfast.store.evidence import EXIT, Fact
from standfast.store.people import add_person, open_session
from standfast.store.people_tables import session, share
from standfast.store.tables import (
    evidence,
    incident,
    ordinary_request,
    request,
    rollup,
    rollup_day,
    rollup_hour,
    worker,
)
from standfast.watch import Settings, retention
from standfast.watch.deaths import learn
from standfast.watch.rollups import Rollups
from tests.unit.watch.journals import SECOND, House, dead, living


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, Settings(keep_ordinary_s=3600))


def test_ordinary_rows_go_when_their_time_is_over_and_nothing_else(house: House) -> None:
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() - 7200 * SECOND
    journal.request("/old")
    journal.request("/old", 500)
    journal.now_ns = time.time_ns() - 3700 * SECOND
    journal.request("/just-over")
    journal.now_ns = time.time_ns() - 3500 * SECOND
    journal.request("/young")
    house.drain()
    (kept,) = house.rows(ordinary_request)
    assert b"/young" in kept.raw
    assert len(house.rows(request)) == 1
    assert sum(row.count for row in house.rows(rollup)) == 4


def test_wrong_clocks_do_not_keep_what_is_behind_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    journal = house.journal(dead())
    journal.now_ns = 2**62
    for _ in range(25):
        journal.request("/future")
    journal.now_ns = time.time_ns() - 3700 * SECOND
    for _ in range(25):
        journal.request("/old")
    journal.now_ns = time.time_ns()
    journal.request("/young")
    house.drain()
    (kept,) = house.rows(ordinary_request)
    assert b"/young" in kept.raw


DAY = 86_400 * SECOND
ALL = (
    ordinary_request, request, incident, evidence, worker, rollup, rollup_hour, rollup_day,
    session, share,
)  # fmt: skip


def _old_life(house: House, age_ns: int) -> None:
    """A worker that died so long ago, with a slow, a failed and an unfinished request."""
    journal = house.journal(dead(pid=age_ns // DAY))
    journal.now_ns = time.time_ns() - age_ns
    journal.request("/ordinary")
    journal.request("/slow", duration_s=2.0)
    journal.request("/failed", 500)
    journal.begin("/unfinished")


def _expire(house: House) -> None:
    """Lets each worker have died as many days ago as its pid says, and what is over go."""
    with writing(house.engine) as connection:
        for row in house.rows(worker):
            died_ns = time.time_ns() - row.pid * DAY
            of_worker = update(incident).where(incident.c.worker_id == row.id)
            connection.execute(of_worker.values(died_ns=died_ns))
            same = update(worker).where(worker.c.id == row.id)
            connection.execute(same.values(died_ns=died_ns))
    house.restart()
    while house.watcher._expire():
        pass


def _kinds(house: House) -> dict[str, int]:
    outcomes = [row.outcome for row in house.rows(request)]
    counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    return counts | {"incident": len(house.rows(incident)), "worker": len(house.rows(worker))}


def test_each_kind_of_row_goes_when_its_own_time_is_over(tmp_path: Path) -> None:
    settings = Settings(
        keep_slow_s=5 * 86400, keep_failed_s=15 * 86400, keep_incidents_s=25 * 86400,
        keep_minutes_s=5 * 86400, keep_hours_s=15 * 86400, keep_days_s=25 * 86400,
    )  # fmt: skip
    house = House(tmp_path, settings)
    for days in (1, 10, 20, 30):
        _old_life(house, days * DAY)
    house.drain()
    _expire(house)
    assert _kinds(house) == {"failed": 2, "slow": 1, "unfinished": 3, "incident": 3, "worker": 3}
    spans = [len(house.rows(table)) for table in (rollup, rollup_hour, rollup_day)]
    assert spans == [3, 6, 9], "three routes each: minutes of one day, hours of two, days of three"


def test_nothing_personal_outlives_the_longest_limit(tmp_path: Path) -> None:
    house = House(tmp_path)
    person = add_person(house.engine, "ann", "correct horse battery", ["shop"], False)
    open_session(house.engine, person.id, time.time_ns() - 8 * DAY)
    row = {"id": 1, "person_id": person.id, "app": "shop", "created_ns": 1, "expires_ns": 2}
    with writing(house.engine) as connection:
        connection.execute(share.insert().values(row))
    house.settings = Settings()
    _old_life(house, 800 * DAY)
    house.drain()
    _expire(house)
    assert {table.name: len(house.rows(table)) for table in ALL} == dict.fromkeys(
        [table.name for table in ALL], 0
    )


def test_a_step_of_deletion_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An incident of any size is deleted a few rows at a time."""
    monkeypatch.setattr(retention, "ROWS", 7)
    house = House(tmp_path, Settings())
    journal = house.journal(dead(pid=100))
    for _ in range(40):
        journal.begin("/unfinished")
    house.drain()
    deleted: list[int] = []

    def hear(_c: object, cursor: Any, statement: str, *_rest: object) -> None:
        if statement.startswith("DELETE FROM request"):
            deleted.append(cursor.rowcount)

    event.listen(house.engine, "after_cursor_execute", hear)
    _expire(house)
    assert max(deleted) == 7
    assert house.rows(request) == house.rows(incident) == []


def test_facts_that_come_after_their_worker_has_gone_are_no_trouble(house: House) -> None:
    fact = Fact(EXIT, "pidfd", 1, "process 1 ended", {"signal": "SIGKILL"})
    with writing(house.engine) as connection:
        learn(connection, 4711, [fact], Rollups())
    assert house.rows(evidence) == []


def test_workers_that_are_still_read_stay(tmp_path: Path) -> None:
    house = House(tmp_path, Settings())
    journal = house.journal(living())
    journal.now_ns = time.time_ns() - 100 * DAY
    journal.request()
    house.drain()
    (row,) = house.rows(worker)
    with writing(house.engine) as connection:
        connection.execute(update(worker).values(died_ns=1))
        assert not retention.workers(connection, retention.Kept(2), [row.id])
    assert [left.id for left in house.rows(worker)] == [row.id]
