from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.store.sketch import RELATIVE_ERROR, Sketch

durations = st.lists(st.integers(1, 2**63 - 1) | st.integers(1, 10_000), min_size=1, max_size=300)
shares = st.floats(0, 1)


@given(durations, shares)
def test_every_quantile_is_within_two_percent(values: list[int], q: float) -> None:
    true = sorted(values)[floor(q * (len(values) - 1))]
    found = Sketch(values).quantile(q)
    assert found is not None
    assert abs(found - true) <= true * RELATIVE_ERROR * (1 + 1e-9)


@given(durations, durations, shares)
def test_merged_sketches_equal_the_sketch_of_everything(
    some: list[int], others: list[int], q: float
) -> None:
    merged = Sketch(some)
    merged.merge(Sketch(others))
    assert merged.to_bytes() == Sketch(some + others).to_bytes()
    assert merged.count == len(some) + len(others)
    assert merged.quantile(q) == Sketch(others + some).quantile(q)


@given(st.lists(durations | st.just([]), max_size=5))
def test_many_sketches_at_once_are_merged_as_one_by_one(parts: list[list[int]]) -> None:
    one_by_one = Sketch()
    for part in parts:
        one_by_one.merge(Sketch(part))
    assert Sketch.merged([Sketch(part).to_bytes() for part in parts]).to_bytes() == (
        one_by_one.to_bytes()
    )


@given(durations)
def test_bytes_bring_the_same_sketch_back(values: list[int]) -> None:
    data = Sketch(values).to_bytes()
    assert Sketch.from_bytes(data).to_bytes() == data
    assert Sketch.from_bytes(data).count == len(values)


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**40))
def test_large_counts_survive_the_bytes(value: int, count: int) -> None:
    sketch = Sketch([value])
    while sketch.count < count:
        sketch.merge(Sketch.from_bytes(sketch.to_bytes()))
    assert Sketch.from_bytes(sketch.to_bytes()).count == sketch.count >= count


@given(st.binary(max_size=30))
def test_bytes_that_are_no_sketch_are_refused_or_read_but_never_crash(data: bytes) -> None:
    for read in (Sketch.from_bytes, lambda one: Sketch.merged([b"", one])):
        try:
            sketch = read(data)
        except ValueError:
            continue
        assert sketch.count >= 0


def test_a_thousand_durations_of_a_route_take_less_than_a_kilobyte() -> None:
    values = [int(5e6 * 1.005**n) for n in range(1000)]
    assert len(Sketch(values).to_bytes()) < 1000


def test_an_empty_sketch_has_no_quantile_and_zero_counts_as_the_least() -> None:
    assert Sketch().quantile(0.5) is None
    assert Sketch.from_bytes(Sketch().to_bytes()).count == 0
    assert Sketch([0]).quantile(1) == Sketch([1]).quantile(1)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_zero_and_one_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Sketch([1]).quantile(q)


def test_cut_bytes_are_refused() -> None:
    data = Sketch([10**9] * 300).to_bytes()
    with pytest.raises(ValueError, match="cut short"):
        Sketch.from_bytes(data[:-1])
