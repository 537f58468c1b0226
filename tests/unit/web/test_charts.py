"""Charts as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.store.period import HOUR_NS, Period
from standfast.web.charts import over_time, time_line

NOW_NS = 1_764_000_000 * 10**9


def test_bars_stand_where_and_as_high_as_their_counts() -> None:
    day = Period(NOW_NS - 24 * HOUR_NS)
    earlier = NOW_NS - 2 * HOUR_NS
    counts = [(earlier, 2), (earlier, 2), (NOW_NS - 1, 1)]
    chart = over_time(counts, HOUR_NS, day, NOW_NS)
    assert (chart.total, chart.highest) == (5, 4)
    low, high = sorted(chart.bars, key=lambda bar: bar.height)
    assert (high.height, high.y) == (100, 0)
    assert low.height == 25
    assert low.x > high.x
    assert high.title.startswith("4 from ")


def test_without_anything_there_is_an_empty_chart() -> None:
    chart = over_time([], HOUR_NS, Period(), NOW_NS)
    assert chart.bars == []
    assert (chart.total, chart.highest) == (0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 10**9)), max_size=50),
    st.sampled_from([Period(), Period(NOW_NS - HOUR_NS), Period(0, NOW_NS)]),
)
def test_no_clock_however_wrong_makes_a_chart_that_does_not_fit(
    counts: list[tuple[int, int]], period: Period
) -> None:
    chart = over_time(counts, HOUR_NS, period, NOW_NS)
    assert len(chart.bars) <= 400
    for bar in chart.bars:
        assert bar.x >= 0 and bar.x + bar.width <= 100.001
        assert bar.y >= 0 and bar.y + bar.height == pytest.approx(100)


def test_flights_end_at_the_end_and_begin_in_the_order_of_their_times() -> None:
    begun = [NOW_NS - 30 * 10**9, NOW_NS - 10**9]
    line = time_line(begun, NOW_NS, [[40.0, 100 * 2**20], [1.0, 900 * 2**20]])
    long, short = line.flights
    assert long.x < short.x
    assert long.x + long.width == pytest.approx(100)
    assert (line.memory_low, line.memory_high) == ("100 MiB", "900 MiB")
    assert len(line.memory.split()) == 2
    assert line.marks[-1] == (100.0, "end")


def test_samples_without_memory_draw_no_line() -> None:
    line = time_line([], NOW_NS, [[1.0, None], [0.5, None]])
    assert line.memory == ""
    assert line.flights == []
