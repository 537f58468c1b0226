"""Failures counted by place say what the rows of failed requests say, whatever happens."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine

from standfast.journal.format import ABORTED, RUNNING
from standfast.store import failures, open_store, opening, writing
from standfast.store.failures import FAILURE_DAYS, FAILURE_HOURS, failure
from standfast.store.listing import Wanted, error_groups
from standfast.store.period import Period
from standfast.store.tables import application, metadata, request
from standfast.watch import Settings
from standfast.watch.failures import Failures
from tests.unit.watch.journals import SECOND, House, dead, living

HOUR = FAILURE_HOURS.length_ns
Counts = dict[tuple[str, int, int], tuple[int, int, int]]
Failed = tuple[str | None, int | None, int]
FAILED = st.tuples(
    st.none() | st.sampled_from("abcde"),
    st.none() | st.integers(500, 503),
    st.integers(0, 3 * FAILURE_DAYS.length_ns),
)


def _expected(failed: list[Failed], length_ns: int) -> Counts:
    """By place, status and stretch: how many, the first, the last."""
    moments: dict[tuple[str, int, int], list[int]] = {}
    for place, status, begun_ns in failed:
        key = (place or "", 0 if place else status or 0, begun_ns // length_ns)
        moments.setdefault(key, []).append(begun_ns)
    return {key: (len(those), min(those), max(those)) for key, those in moments.items()}


def _counted(engine: Engine) -> list[Counts]:
    found = []
    with engine.connect() as connection:
        for span in (FAILURE_HOURS, FAILURE_DAYS):
            rows = connection.execute(span.table.join(failure).select()).mappings()
            found.append(
                {
                    (row["place"], row["status"], row[span.number.key]): (
                        row["count"], row["first_ns"], row["last_ns"],
                    )
                    for row in rows
                }
            )  # fmt: skip
    return found


def test_the_counts_are_those_of_the_failures_whatever_batches_they_came_in() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))

    @given(st.lists(st.lists(FAILED, max_size=20), max_size=4))
    def same(batches: list[list[Failed]]) -> None:
        with writing(engine) as connection:
            for table in (failures.failure_hour, failures.failure_day, failure):
                connection.execute(table.delete())
        for batch in batches:
            found = Failures()
            for place, status, begun_ns in batch:
                found.add(1, place, status, begun_ns)
            with writing(engine) as connection:
                found.store(connection)
        everything = [one for batch in batches for one in batch]
        spans = (FAILURE_HOURS, FAILURE_DAYS)
        assert _counted(engine) == [_expected(everything, span.length_ns) for span in spans]

    same()


def _check(house: House) -> int:
    """That the counts are those of the rows; how many there are."""
    rows = house.rows(request, outcome="failed")
    failed: list[Failed] = [(row.place, row.status, row.begun_ns) for row in rows]
    spans = (FAILURE_HOURS, FAILURE_DAYS)
    assert _counted(house.engine) == [_expected(failed, span.length_ns) for span in spans]
    return len(rows)


def test_each_failure_is_counted_once_however_and_whenever_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    one, gone = house.journal(living()), house.journal(dead())
    for journal in (one, gone):
        journal.request("/a", 500)
        journal.request("/a", 502, error=b"ValueError: no\n")
        journal.request("/a", error=b" \n")
        journal.request("/a", duration_s=2)
        journal.end(journal.begin("/a"), 500, background_s=1)
    late = [one.begin("/late") for _ in range(3)]
    torn = gone.begin("/torn")
    gone.end(torn, flags=ABORTED, error=b"SystemExit: 1\n")
    gone.now_ns += 3600 * SECOND
    gone.request("/a", 500)
    house.drain()
    counted = _check(house)
    assert counted >= 9
    one.now_ns += 2 * HOUR
    one.end(late[0], flags=RUNNING)
    one.end(late[1], 500, error=b"KeyError: late\n")
    # A watcher that is killed before it has stored what it read.
    with monkeypatch.context() as killed:
        killed.setattr(house.watcher.intake._batch, "store", _killed)
        with pytest.raises(KeyboardInterrupt):
            house.drain()
    house.restart()
    house.drain()
    one.end(late[0], 503)
    house.drain()
    assert _check(house) == counted + 2


def _killed(_connection: object) -> None:
    raise KeyboardInterrupt


def test_beyond_a_number_of_places_all_others_are_counted_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_KINDS", 3)
    house = House(tmp_path)
    for pid in (4242, 4243):
        journal = house.journal(dead(pid=pid))
        for number in range(10):
            journal.request("/a", 500, error=b"E%d: no\n" % number)
        house.drain()
    assert len(house.rows(failure)) <= 4
    assert sum(row.count for row in house.rows(FAILURE_HOURS.table)) == 20
    monkeypatch.setattr("standfast.store.listing.COUNTED", 5)
    found = error_groups(house.engine, Wanted(1))
    assert sum(group.count for group in found.groups) == 20
    assert (found.groups[0].place, found.groups[0].status) == (None, None)


def test_the_groups_of_many_errors_are_those_of_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() // HOUR * HOUR - 30 * HOUR
    for number in range(60):
        error = b"" if number % 3 else b"ValueError: %d\n" % (number % 2)
        journal.request(f"/{number % 4}", (500, 503)[number % 2], error=error)
        journal.now_ns += HOUR // 2
    house.drain()
    whole = Wanted(1)
    hours = Wanted(1, Period(journal.now_ns // HOUR * HOUR - 10 * HOUR))
    exact = {wanted: error_groups(house.engine, wanted) for wanted in (whole, hours)}
    monkeypatch.setattr("standfast.store.listing.COUNTED", 10)
    for wanted, expected in exact.items():
        found = error_groups(house.engine, wanted)
        assert (found.is_rounded, expected.is_rounded) == (True, False)
        assert Counter(found.groups) == Counter(expected.groups)
        assert len(found.groups) == 4
    part = error_groups(house.engine, Wanted(1, route="/{int}"))
    assert part.is_part
    assert sum(group.count for group in part.groups) == 10


def test_counts_leave_the_store_with_the_rows_that_they_count(tmp_path: Path) -> None:
    house = House(tmp_path, Settings(keep_failed_s=10 * 86_400))
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() - 12 * 86_400 * SECOND
    journal.request("/a", 500, error=b"Old: 192.0.2.7\n")
    journal.now_ns = time.time_ns() - 3600 * SECOND
    journal.request("/a", 500, error=b"New: error\n")
    house.drain()
    while house.watcher._expire():
        pass
    assert _check(house) == 1
    assert {row.place for row in house.rows(failure)} == {"New: error"}


def test_an_older_store_gets_the_counts_of_its_failures(tmp_path: Path) -> None:
    house = House(tmp_path)
    journal = house.journal(dead())
    for number in range(50):
        error = b"" if number % 3 else b"ValueError: %d\n" % (number % 2)
        journal.request("/a", 500 + number % 3, error=error)
        journal.request("/a", duration_s=2)
        journal.now_ns += 3600 * SECOND
    house.drain()
    assert _check(house) == 50
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).parent / "migrations"))
    with writing(house.engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0012")
    open_store(house.url).dispose()
    assert _check(house) == 50
