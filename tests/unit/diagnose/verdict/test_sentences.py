"""What a verdict tells beside its cause: where it struck, who waits for whom, what was lost."""

from __future__ import annotations

import pytest

from standfast.diagnose.verdict import CAUSES, Verdict, judge
from standfast.store import evidence
from standfast.store.evidence import Fact, Source

from . import cases as c
from .cases import case, request

WAITER = """Thread 0x7F01 (idle): "ThreadPoolExecutor-0_0"
    acquire (threading.py:327)
    transfer (/srv/shop/shop.py:44)
"""
OTHER_WAITER = """Thread 0x7F02 (idle): "ThreadPoolExecutor-0_1"
    acquire (threading.py:327)
    refund (/srv/shop/shop.py:60)
"""
HOLDER = """Thread 0x7F02 (idle): "ThreadPoolExecutor-0_1"
    recv_into (socket.py:718)
    read_packet (pymysql/connections.py:153)
    refund (/srv/shop/shop.py:61)
"""
TWO = (
    request(number=1, thread=0x7F01),
    request("/refund", number=2, thread=0x7F02),
)


def hung(*stacks: str, more: tuple[Fact, ...] = ()) -> Verdict:
    """Two requests hang, and their stacks are these."""
    names = c.hung(request_id="abc-1"), c.hung(61.0, request_id="abc-2")
    facts = (*names, c.curve(busy=0.0), c.stack("\n".join(stacks)), *more)
    return judge(case(*facts, requests=TWO, kind="hang"))


def test_of_two_that_hang_both_innermost_calls_are_told() -> None:
    told = " ".join(hung(WAITER, HOLDER).supports)
    assert "acquire (threading.py:327) < transfer (/srv/shop/shop.py:44)" in told
    assert "recv_into (socket.py:718) < read_packet" in told


def test_two_that_wait_for_each_other_are_certainly_the_applications() -> None:
    verdict = hung(WAITER, OTHER_WAITER)
    assert (verdict.cause.name, verdict.confidence) == ("app_hang", 0.99)
    assert "threads that wait for each other" in " ".join(verdict.supports)


def test_who_waits_for_a_lock_waits_for_what_its_holder_does() -> None:
    """The holder waits for another service: that threads wait for each other was not seen."""
    verdict = hung(WAITER, HOLDER)
    assert (verdict.cause.name, verdict.confidence) == ("app_hang", 0.75)
    told = " ".join(verdict.supports)
    assert "each other" not in told
    assert "an answer from elsewhere" in told
    away = hung(WAITER, HOLDER, more=(c.database_down(),))
    assert (away.cause.name, away.confidence) == ("platform_database_down", 0.9)


def test_a_time_out_is_advised_only_where_it_ends_a_hang() -> None:
    """gunicorn with threads has one, and it does nothing there."""
    fix = CAUSES["app_hang"].fix
    assert "with threads or an event loop it does not" in fix
    assert "set a time-out" not in fix.lower()


@pytest.mark.parametrize(
    "facts",
    [
        (c.ended("SIGKILL", Source.MASTER), c.curve()),
        (c.ended("SIGSEGV"), c.traceback()),
        (c.hung(), c.curve(busy=0.0)),
        (c.ended(3),),
    ],
)
def test_that_the_kernel_killed_what_a_request_had_started_is_told(facts: tuple[Fact, ...]) -> None:
    verdict = judge(case(*facts, c.descendant()))
    (told,) = [words for words in verdict.supports if "wkhtmltopdf" in words]
    assert "A process that this worker had started, not the worker itself." in told
    assert verdict.party != "platform"


def struck(*frames: str) -> Fact:
    """faulthandler's words of a crash in these calls, the innermost first."""
    words = "Fatal Python error: Segmentation fault\n\n"
    words += f"Current thread 0x{0x7F01:016x} (most recent call first):\n" + "\n".join(frames)
    data = {"signal": "SIGSEGV", "thread": 0x7F01}
    return Fact(evidence.TRACEBACK, Source.FAULTHANDLER, c.DIED_NS, words, data)


LIBRARY = '  File "/usr/lib/python3.11/ctypes/__init__.py", line 517 in string_at'
OWN = '  File "/srv/shop/views.py", line 31 in label'
DEEP = '  File "/srv/shop/tree.py", line 8 in walk'


@pytest.mark.parametrize(
    ("cause", "frames", "where"),
    [
        (
            "app_crash",
            [LIBRARY, OWN],
            "the application's own code is label (/srv/shop/views.py:31)",
        ),
        ("app_crash", [OWN], "It struck in label (/srv/shop/views.py:31)"),
        ("app_stack_overflow", [DEEP] * 100, "It struck in walk (/srv/shop/tree.py:8)"),
        (
            "app_stack_overflow",
            [LIBRARY, *[DEEP] * 99],
            "the application's own code is walk (/srv/shop/tree.py:8)",
        ),
    ],
)
def test_where_a_crash_struck_is_told_by_the_applications_own_line(
    cause: str, frames: list[str], where: str
) -> None:
    verdict = judge(case(c.ended("SIGSEGV"), struck(*frames)))
    assert verdict.cause.name == cause
    assert where in " ".join(verdict.supports)


def test_a_crash_in_a_thread_without_a_traceback_names_the_only_request() -> None:
    """Python gives no thread but the first a stack for signals: one that overflows leaves none."""
    verdict = judge(case(c.ended("SIGSEGV"), server="gunicorn 27.0.1 ThreadWorker"))
    assert (verdict.cause.name, verdict.culprit) == ("app_crash", "abc-17")
