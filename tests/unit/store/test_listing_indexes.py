"""Lists are filtered, counted, sorted and grouped without reading the wide rows of requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, true

from standfast.store import open_store, writing
from standfast.store.listing import ORDERS, Wanted, closed_page, error_groups
from standfast.store.period import ALWAYS, Period
from standfast.store.queries import flying, one_request
from standfast.store.tables import FAILED, SLOW, application, request, route, worker
from standfast.watch.deaths import fail_aborted
from standfast.watch.rollups import Rollups

PLACE = "ValueError at shop.py:42 in label"
#: What every row has in common, so that each filter finds one.
ROW = {
    "application_id": 1, "worker_id": 1, "route_id": 1, "begun_ns": 1_500, "duration_ns": 1,
    "status": 500, "kind": "http", "method": "GET", "uri": "/a?ref=mail", "client": "",
    "forwarded_for": "", "host": "", "user_agent": "", "thread": 1, "cut": False,
}  # fmt: skip
PERIODS = [ALWAYS, Period(1_000), Period(1_000, 2_000)]
FILTERS: list[dict[str, Any]] = [
    {},
    {"route": "/a"},
    {"host": "web1"},
    {"place": PLACE},
    {"status": 500},
    {"search": "ref=mail"},
    {"search": "ref=mail", "route": "/a*", "host": "web1"},
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = open_store(str(tmp_path_factory.mktemp("plans") / "store.db"))
    texts = ("boot_id", "server", "revision")
    numbers = ("pid", "pid_namespace", "start_ticks", "started_ns", "last_seen_ns")
    process = dict.fromkeys(texts, "") | dict.fromkeys(numbers, 1)
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))
        connection.execute(route.insert().values(id=1, application_id=1, template="/a"))
        connection.execute(
            worker.insert().values(id=1, uid="1", application_id=1, host="web1", **process)
        )
        kept = [
            {"seq": 2 * number + (place is None), "outcome": outcome, "place": place}
            for number, outcome in enumerate((SLOW, FAILED))
            for place in (PLACE, None)
        ]
        connection.execute(request.insert().values(ROW), kept)
    return engine


def _plans(engine: Engine, ask: Callable[[], object]) -> list[list[str]]:
    """How SQLite goes about each statement on requests, as far as it concerns requests."""
    told: list[tuple[str, Any]] = []

    def hear(_c: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        told.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", hear)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    plans = []
    with engine.connect() as connection:
        for statement, parameters in told:
            if not statement.startswith("SELECT"):
                continue
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in rows if " request" in row[3]]
            # The rows of the page that is shown are read whole, by their numbers.
            if steps and "request.id IN (" not in statement:
                plans.append(steps)
    return plans


def _is_covered(step: str) -> bool:
    # What is searched for a text is read by its number, after the index has told which that is.
    if "USING INTEGER PRIMARY KEY (rowid=?)" in step:
        return True
    return "USING COVERING INDEX" in step and "application_id=?" in step and "outcome=?" in step


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: next(iter(filters), "all"))
@pytest.mark.parametrize("order", ORDERS)
def test_a_list_of_one_application_needs_the_index_only(
    engine: Engine, order: str, filters: dict[str, Any], period: Period
) -> None:
    for outcome in (SLOW, FAILED):
        wanted = Wanted(1, period, **filters)
        plans = _plans(engine, lambda: closed_page(engine, outcome, wanted, order=order))  # noqa: B023
        assert len(plans) == 2, "the number of rows, and the page"
        for steps in plans:
            assert all(map(_is_covered, steps)), steps
            is_searched = any("PRIMARY KEY" in step for step in steps)
            assert "search" in filters or not is_searched


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: next(iter(filters), "all"))
def test_errors_are_grouped_in_the_index_only(
    engine: Engine, period: Period, filters: dict[str, Any]
) -> None:
    plans = _plans(engine, lambda: error_groups(engine, Wanted(1, period, **filters)))
    assert len(plans) == 2
    for steps in plans:
        assert all(map(_is_covered, steps)), steps


@pytest.mark.parametrize("period", PERIODS[1:])
def test_a_period_is_looked_for_in_the_index(engine: Engine, period: Period) -> None:
    for steps in _plans(engine, lambda: closed_page(engine, SLOW, Wanted(1, period))):
        assert all("begun_ns>?" in step for step in steps), steps


def test_the_longest_of_all_time_come_in_the_order_of_an_index(engine: Engine) -> None:
    _, page = _plans(engine, lambda: closed_page(engine, SLOW, Wanted(1), order="duration"))
    assert ["ix_request_duration" in step for step in page] == [True]


@pytest.mark.parametrize("period", PERIODS[1:])
def test_the_longest_of_many_are_not_looked_for_by_time(
    engine: Engine, period: Period, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standfast.store.listing.COUNTED", 1)
    wanted = Wanted(1, period)
    _, page = _plans(engine, lambda: closed_page(engine, SLOW, wanted, order="duration", limit=1))
    assert ["ix_request_duration" in step for step in page] == [True]


def test_one_request_is_looked_up_by_its_worker_and_number(engine: Engine) -> None:
    assert one_request(engine, 1, "1-0") is not None
    assert one_request(engine, 2, "1-0") is None
    ((step,),) = _plans(engine, lambda: one_request(engine, 1, "1-0"))
    assert "worker_id=? AND seq=?" in step


def test_what_is_open_is_found_without_reading_what_is_not(engine: Engine) -> None:
    def ask() -> None:
        with writing(engine) as connection:
            fail_aborted(connection, true(), 0, Rollups())

    for steps in (*_plans(engine, lambda: flying(engine, 1)), *_plans(engine, ask)):
        assert all("outcome=?" in step for step in steps), steps
