"""Expectation maximisation and evidence, against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from standfast.diagnose.suspects import mixture
from standfast.diagnose.suspects.mixture import (
    FIRST,
    FURTHER,
    SHARES,
    Columns,
    Floats,
    fit,
    log_evidence,
    log_mean,
    log_terms,
)

lifts = st.integers(1, 12).flatmap(
    lambda rows: st.integers(1, 4).flatmap(
        lambda causes: arrays(
            np.float64, (rows, causes), elements=st.one_of(st.just(0.0), st.floats(1e-3, 1e12))
        )
    )
)


def columns(*causes: list[float]) -> Columns:
    """The same without zeros; every cause has one entry at least."""
    start: list[int] = []
    rows: list[int] = []
    values: list[float] = []
    for cause in causes:
        start.append(len(rows))
        for row, value in enumerate(cause):
            if value:
                rows.append(row)
                values.append(value)
    return Columns(np.array(start), np.array(rows), np.array(values))


@given(lifts)
def test_the_likelihood_never_falls_from_one_round_of_em_to_the_next(table: Floats) -> None:
    trace = np.array(fit(table).trace)
    assert (np.diff(trace) >= -1e-8 * np.abs(trace[:-1]) - 1e-9).all()


@given(lifts)
def test_shares_sum_to_one_and_expected_counts_to_the_incidents(table: Floats) -> None:
    fitted = fit(table)
    assert fitted.shares.sum() == pytest.approx(1.0)
    assert (fitted.shares > 0).all()
    assert fitted.counts.sum() == pytest.approx(len(table))


def test_where_nobody_was_in_flight_the_background_did_it() -> None:
    fitted = fit(np.zeros((8, 1)))
    # Eight incidents and one beforehand for each of two causes.
    assert fitted.shares == pytest.approx([9 / 10, 1 / 10])
    assert fitted.counts == pytest.approx([8, 0])


def test_a_cause_that_is_far_likelier_than_the_background_takes_all() -> None:
    fitted = fit(np.full((8, 1), 1e9))
    assert fitted.shares == pytest.approx([1 / 10, 9 / 10], abs=1e-6)


def test_equal_causes_share_alike() -> None:
    fitted = fit(np.full((6, 2), 1.0))
    assert fitted.counts == pytest.approx([2, 2, 2])


@pytest.mark.parametrize("deaths", [1, 5, 40])
def test_evidence_of_a_cause_never_there_is_the_integral_of_the_background(deaths: int) -> None:
    """The integral of (1 - s)^n over a uniform s is 1 / (n + 1)."""
    terms = log_terms(np.zeros(deaths), np.ones(deaths)).sum(axis=0)
    assert math.exp(log_mean(terms, FURTHER)) == pytest.approx(1 / (deaths + 1), rel=1e-2)


def test_evidence_of_one_incident_is_the_mean_of_its_density() -> None:
    """The mean of (1 - s) + s x is 1/4 + 3/4 x where s is 3/4 on average, else 1/2 + 1/2 x."""
    lift = columns([9.0])
    assert np.exp(log_evidence(lift, np.ones(1), FIRST)) == pytest.approx(
        1 / 4 + 3 / 4 * 9, rel=1e-3
    )
    assert np.exp(log_evidence(lift, np.ones(1), FURTHER)) == pytest.approx(5.0, rel=1e-3)


def test_a_cause_present_as_often_as_chance_has_it_says_nothing() -> None:
    assert log_evidence(columns([1.0, 1.0]), np.ones(2), FIRST) == pytest.approx(0.0, abs=1e-3)


@given(lifts, st.sampled_from([FIRST, FURTHER]))
def test_evidence_without_the_zeros_is_the_same_as_with_them(table: Floats, shape: float) -> None:
    table[0] = np.maximum(table[0], 0.5)
    density = fit(table[:, :1]).density
    sparse = log_evidence(columns(*table.T.tolist()), density, shape)
    dense = [log_mean(log_terms(cause, density).sum(axis=0), shape) for cause in table.T]
    assert sparse == pytest.approx(dense, rel=1e-6, abs=1e-6)


def test_evidence_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = columns([2.0, 0.0, 3.0], [1.0, 1.0, 1.0], [0.0, 9.0, 0.0], [4.0, 4.0, 0.0])
    whole = log_evidence(table, np.ones(3), FIRST)
    for size in (1, 2, 4, 5):
        monkeypatch.setattr(mixture, "_BLOCK", size)
        assert log_evidence(table, np.ones(3), FIRST).tolist() == whole.tolist()


def test_a_column_is_read_back_as_it_was() -> None:
    table = columns([0.0, 2.0, 0.0], [1.0, 0.0, 3.0])
    assert table.dense(0, 3).tolist() == [0.0, 2.0, 0.0]
    assert table.dense(1, 3).tolist() == [1.0, 0.0, 3.0]


def test_the_shares_run_from_nothing_to_all_in_order() -> None:
    assert 0 < SHARES[0] < 0.001
    assert 0.999 < SHARES[-1] < 1
    assert (np.diff(SHARES) > 0).all()
