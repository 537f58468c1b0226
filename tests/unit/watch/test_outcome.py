from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.format import End
from standfast.store.tables import FAILED, OPEN, SLOW
from standfast.watch.outcome import ORDINARY, Row, close

SLOW_NS = 1_000_000_000

ends = st.builds(
    End,
    seq=st.just(1),
    duration_ns=st.integers(0, 2**64 - 1),
    cpu_ns=st.none() | st.integers(0, 2**64 - 2),
    sent=st.none() | st.integers(0, 2**64 - 2),
    status=st.none() | st.integers(1, 65535),
    error=st.text(max_size=3),
    cut=st.booleans(),
    running=st.booleans(),
    aborted=st.booleans(),
    cancelled=st.booleans(),
    background_ns=st.integers(0, 2**64 - 1),
)


def begun(kind: str = "http") -> Row:
    names = ("duration_ns", "background_ns", "cpu_ns", "sent", "status", "error")
    return {"kind": kind, "cut": False, "aborted": False, **dict.fromkeys(names)}


@given(ends)
def test_whatever_an_end_says_the_numbers_fit_a_column(end: End) -> None:
    row = begun()
    close(row, end, SLOW_NS)
    for name in ("duration_ns", "background_ns", "cpu_ns", "sent"):
        assert row[name] is None or 0 <= row[name] < 2**63


@given(ends)
def test_a_request_is_open_exactly_while_more_is_to_come(end: End) -> None:
    assert (close(begun(), end, SLOW_NS) == OPEN) == (end.running or end.aborted)


@given(ends)
def test_the_same_end_gives_the_same_outcome_with_or_without_a_first_one(end: End) -> None:
    last = end._replace(running=False, aborted=False)
    once, twice = begun(), begun()
    close(twice, last._replace(running=True), SLOW_NS)
    assert close(once, last, SLOW_NS) == close(twice, last, SLOW_NS)
    assert twice == once


@given(ends)
def test_only_http_is_ever_slow(end: End) -> None:
    assert close(begun("websocket"), end, SLOW_NS) != SLOW


@given(ends)
def test_a_client_that_went_away_is_no_failure(end: End) -> None:
    gone = end._replace(cancelled=True, running=False, aborted=False)
    outcome = close(begun(), gone, SLOW_NS)
    assert outcome == (SLOW if gone.duration_ns >= SLOW_NS else ORDINARY)


@given(ends)
def test_an_escaped_error_or_a_status_from_500_up_is_a_failure(end: End) -> None:
    whole = end._replace(cancelled=False, running=False, aborted=False)
    failed = (bool(whole.error) and not whole.logged) or (whole.status or 0) >= 500
    assert (close(begun(), whole, SLOW_NS) == FAILED) == failed
