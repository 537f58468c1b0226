"""Hours and days say together what their minutes say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select

from standfast.store import Sketch, writing
from standfast.store.period import DAYS, HOURS, MINUTES, Span
from standfast.store.tables import FAILED, SLOW, application, metadata, route
from standfast.watch.rollups import Rollups

Asked = tuple[int, int, int, int | None, str]
OUTCOMES = st.sampled_from(["ordinary", SLOW, FAILED])
REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.integers(0, 3 * DAYS.length_ns),
        st.integers(0, 10**11),
        st.none() | st.integers(0, 10**9),
        OUTCOMES,
    ),
    max_size=40,
)


def _store() -> Engine:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with writing(engine) as connection:
        connection.execute(application.insert().values(id=1, name="shop"))
        for number in (1, 2):
            values = {"id": number, "application_id": 1, "kind": "http", "template": f"/{number}"}
            connection.execute(route.insert().values(values))
    return engine


@given(st.lists(REQUESTS, max_size=3))
def test_each_span_adds_up_to_all_requests_whatever_batches_they_came_in(
    batches: list[list[Asked]],
) -> None:
    engine = _store()
    for batch in batches:
        rollups = Rollups()
        for number, begun_ns, duration_ns, cpu_ns, outcome in batch:
            rollups.add(number, begun_ns, duration_ns, cpu_ns, None, outcome)
        with writing(engine) as connection:
            rollups.store(connection)
    everything = [one for batch in batches for one in batch]
    for span in (MINUTES, HOURS, DAYS):
        _check(engine, span, everything)


def _check(engine: Engine, span: Span, requests: list[Asked]) -> None:
    with engine.connect() as connection:
        rows = connection.execute(select(span.table)).mappings().all()
    assert len(rows) == len({(one[0], one[1] // span.length_ns) for one in requests})
    for row in rows:
        key = (row["route_id"], row[span.number.key])
        mine = [one for one in requests if (one[0], one[1] // span.length_ns) == key]
        assert row["count"] == len(mine)
        assert row["failed"] == sum(one[4] == FAILED for one in mine)
        assert row["slow"] == sum(one[4] == SLOW for one in mine)
        assert row["duration_ns"] == sum(one[2] for one in mine)
        known = [one[3] for one in mine if one[3] is not None]
        assert row["cpu_ns"] == (sum(known) if known else None)
        assert row["sketch"] == Sketch([one[2] for one in mine]).to_bytes()
