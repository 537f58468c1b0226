"""Which request is named, how surely, and when none is."""

from __future__ import annotations

import pytest

from standfast.diagnose.verdict import Unfinished, Verdict, judge
from standfast.store.evidence import Fact, Source

from . import cases as c
from .cases import case, request

ONE = request("/one", age_s=9.0, thread=0x7F01, number=1)
TWO = request("/two", age_s=3.5, thread=0x7F02, number=2)
THREE = request("/three", age_s=0.4, thread=0x7F03, number=3)
BOTH = (ONE, TWO)


def named(verdict: Verdict) -> tuple[str | None, float | None]:
    return verdict.culprit, verdict.culprit_probability


def test_the_request_of_the_crashing_thread_is_certain() -> None:
    crash = case(c.ended("SIGSEGV"), c.traceback(thread=0x7F02), requests=BOTH)
    assert named(judge(crash)) == ("abc-2", 0.99)


def test_a_crash_in_another_thread_names_no_request_of_several() -> None:
    crash = case(c.ended("SIGSEGV"), c.traceback(thread=0x7FFF), requests=BOTH)
    assert named(judge(crash)) == (None, None)


def test_two_requests_of_one_thread_are_not_told_apart() -> None:
    """All requests of an event loop have its thread."""
    same = (ONE, request("/two", thread=0x7F01, number=2))
    crash = case(c.ended("SIGSEGV"), c.traceback(thread=0x7F01), requests=same)
    assert named(judge(crash)) == (None, None)


def test_in_a_loop_the_request_in_whose_frame_the_crash_struck_is_certain() -> None:
    """All have one thread: the frame that the recorder calls the application through tells."""
    many = [request(f"/r{n}", thread=0x7F01, number=n, seq=n) for n in range(5000, 5006)]
    crash = case(c.ended("SIGSEGV"), c.in_a_loop(5003 % 4096), requests=tuple(many))
    assert named(judge(crash)) == ("abc-5003", 0.99)


def test_of_two_frames_in_a_loop_the_inner_one_is_meant() -> None:
    many = tuple(request(f"/r{n}", thread=0x7F01, number=n, seq=n) for n in (1, 2))
    crash = case(c.ended("SIGSEGV"), c.in_a_loop(2, 1), requests=many)
    assert named(judge(crash)) == ("abc-2", 0.99)


def test_two_requests_with_one_slot_are_not_told_apart() -> None:
    many = tuple(request(f"/r{n}", thread=0x7F01, number=n, seq=n) for n in (7, 7 + 4096))
    crash = case(c.ended("SIGSEGV"), c.in_a_loop(7), requests=many)
    assert named(judge(crash)) == (None, None)


def test_a_crash_in_a_loop_outside_of_any_request_is_not_certainly_that_of_the_only_one() -> None:
    crash = case(c.ended("SIGSEGV"), c.in_a_loop(), requests=(ONE,))
    assert named(judge(crash)) == ("abc-1", 0.75)


@pytest.mark.parametrize(
    ("server", "others", "probability"),
    [
        # A task of the loop's own may have overflowed, and what called it is not shown.
        ("uvicorn 0.54.0", (), 0.75),
        ("gunicorn 27.0.1 GeventWorker", (), 0.75),
        ("gunicorn 27.0.1 SyncWorker", (), 0.99),
        ("gunicorn 27.0.1 ThreadWorker", (TWO,), 0.99),
        # They have threads of their own: it is no loop.
        ("gunicorn/27.0.1", (TWO,), 0.99),
    ],
)
def test_in_a_loop_a_stack_that_is_cut_off_makes_a_bystander_no_certain_culprit(
    server: str, others: tuple[Unfinished, ...], probability: float
) -> None:
    deep = c.traceback(thread=0x7F01, frames=100)
    crash = case(c.ended("SIGSEGV"), deep, requests=(ONE, *others), server=server)
    assert named(judge(crash)) == ("abc-1", probability)


def test_a_crash_in_a_thread_of_its_own_is_not_certainly_that_of_the_only_request() -> None:
    crash = case(c.ended("SIGSEGV"), c.traceback(thread=0x7FFF), requests=(ONE,))
    assert named(judge(crash)) == ("abc-1", 0.75)


def test_of_many_that_hang_in_one_thread_the_one_that_runs_is_named() -> None:
    many = tuple(request(f"/r{n}", thread=0x7F01, number=n, seq=n, age_s=90) for n in (1, 2, 3))
    hung = [c.hung(60.0 + n, request_id=f"abc-{n}") for n in (1, 2, 3)]
    frames = [["spin", "/srv/shop/views.py", 9], ["run", "/usr/lib/python3.11/asyncio/x.py", 1]]
    threads = [{"thread": 0x7F01, "slots": [2], "frames": frames, "active": True, "gil": True}]
    seen = case(*hung, c.curve(busy=1.0), c.stack("", threads=threads), requests=many, kind="hang")
    assert named(judge(seen)) == ("abc-2", 0.9)
    assert any("spin (/srv/shop/views.py:9)" in words for words in judge(seen).supports)


def test_one_that_waits_for_another_in_its_thread_is_not_named() -> None:
    """The one that runs has not been open for long enough yet to count as hanging."""
    frames = [["spin", "/srv/shop/views.py", 9]]
    threads = [{"thread": 0x7F01, "slots": [7], "frames": frames, "active": True, "gil": True}]
    waits = request("/waits", thread=0x7F01, number=1, seq=1, age_s=90)
    facts = (c.hung(request_id="abc-1"), c.curve(busy=1.0), c.stack("", threads=threads))
    bystander = request("/other", thread=0x7F01, number=2, seq=2)
    verdict = judge(case(*facts, requests=(waits, bystander), kind="hang"))
    assert (verdict.cause.name, *named(verdict)) == ("app_hang", None, None)


@pytest.mark.parametrize(
    ("facts", "probability"),
    [
        ((c.ended("SIGSEGV"),), 0.9),
        ((c.ended("SIGKILL"), c.oom_kill(), c.counter(), c.curve(c.RISING)), 0.99),
        ((c.ended(3),), 0.9),
        ((c.ended("SIGKILL"), c.timed_out(), c.curve(busy=1.0)), 0.99),
    ],
)
def test_the_only_request_in_flight_is_as_probable_as_the_cause(
    facts: tuple[Fact, ...], probability: float
) -> None:
    assert named(judge(case(*facts, requests=(ONE,)))) == ("abc-1", probability)


@pytest.mark.parametrize(
    "facts",
    [
        (c.ended("SIGTERM"), c.order("stop")),
        (c.ended("SIGKILL"), c.curve()),
        (c.restarted(),),
        (c.ended(1), c.full_disk(), c.log("No space left on device")),
        (),
    ],
)
def test_where_it_was_not_the_application_no_request_is_blamed(facts: tuple[Fact, ...]) -> None:
    assert named(judge(case(*facts, requests=(ONE,)))) == (None, None)


def test_the_request_that_began_when_memory_began_to_grow_is_strong() -> None:
    grown = (c.ended("SIGKILL"), c.oom_kill(), c.counter(), c.curve(c.RISING))
    assert named(judge(case(*grown, requests=(ONE, TWO, THREE)))) == ("abc-2", 0.9)


def test_a_slow_leak_has_no_culprit() -> None:
    full = (c.ended("SIGKILL"), c.oom_kill(700), c.counter(), c.curve([700.0] * 10))
    assert named(judge(case(*full, requests=(TWO,)))) == (None, None)


def test_a_request_that_met_a_full_memory_is_not_named_though_it_was_alone() -> None:
    killed = (c.ended("SIGKILL"), c.oom_kill(780), c.counter())
    # The last samples are older than the request: large already, or none at all.
    for curve in (c.curve([80.0, 300, 500, 700, 760, 770]), None):
        facts = (*killed, *([curve] if curve else []))
        assert named(judge(case(*facts, requests=(THREE,)))) == (None, None)


def test_a_request_that_took_all_memory_at_once_is_named() -> None:
    facts = (c.ended("SIGKILL"), c.oom_kill(780), c.counter(), c.curve([80.0] * 10))
    assert named(judge(case(*facts, requests=(THREE,)))) == ("abc-3", 0.99)


def test_of_several_the_one_that_began_when_all_memory_was_taken_at_once_is_strong() -> None:
    facts = (c.ended("SIGKILL"), c.oom_kill(780), c.counter(), c.curve([80.0] * 10))
    assert named(judge(case(*facts, requests=(ONE, THREE)))) == ("abc-3", 0.9)


def test_how_an_application_was_loaded_is_no_growth_of_a_later_request() -> None:
    loaded = [20.0, 60, 120, 200, *[200.0] * 10]
    facts = (c.ended("SIGKILL"), c.curve(loaded), c.host_memory(), c.counter(0, 0))
    assert judge(case(*facts, requests=(TWO,))).cause.name == "operator_kill"


def test_of_two_that_began_when_memory_began_to_grow_none_is_named() -> None:
    grown = (c.ended("SIGKILL"), c.oom_kill(), c.counter(), c.curve(c.RISING))
    twin = request("/twin", age_s=3.6, number=4)
    assert named(judge(case(*grown, requests=(ONE, TWO, twin)))) == (None, None)


def test_the_request_torn_out_by_sys_exit_is_certain() -> None:
    torn = c.torn(number=3)
    assert named(judge(case(c.ended(1), requests=(*BOTH, torn)))) == ("abc-3", 0.99)


def test_the_request_that_a_hang_names_is_strong() -> None:
    hung = case(c.hung(request_id="abc-2"), c.curve(busy=1.0), requests=BOTH, kind="hang")
    assert named(judge(hung)) == ("abc-2", 0.9)


def test_the_request_whose_stack_was_taken_is_strong() -> None:
    facts = (c.ended("SIGKILL"), c.timed_out(), c.stack(c.LOCKED, thread=0x7F01))
    assert named(judge(case(*facts, requests=BOTH))) == ("abc-1", 0.9)


def test_the_only_request_older_than_the_time_out_is_strong() -> None:
    facts = (c.ended("SIGKILL"), c.timed_out(timeout_s=5.0), c.curve(busy=1.0))
    assert named(judge(case(*facts, requests=(ONE, TWO, THREE)))) == ("abc-1", 0.9)


def test_a_worker_that_did_not_start_has_no_culprit() -> None:
    assert named(judge(case(c.failed_start(), requests=(ONE,)))) == (None, None)


def test_a_crash_that_uwsgi_turns_into_an_exit_code_is_a_crash() -> None:
    facts = (c.traceback(thread=ONE.thread), c.ended(1), c.ended(1, Source.PROCESS_EVENTS))
    verdict = judge(case(*facts, requests=(ONE, TWO), server="uWSGI 2.0.21"))
    assert (verdict.cause.name, verdict.confidence, verdict.culprit) == ("app_crash", 0.99, "abc-1")
