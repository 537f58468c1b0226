"""What a peer holds is told by the request's own words, not by words that happen to be about."""

from __future__ import annotations

from benchmarks.survivors import CRASH, NOTHING, PATH, REQUEST, Target, judge


def test_the_request_counts_as_held_only_with_its_parameter() -> None:
    culprit = Target("segv")
    whole = b"GET " + culprit.uri.encode()
    without = whole.partition(b"?")[0]

    assert judge([b"other", whole], "segv", culprit, []) == REQUEST
    assert judge([b"other", without], "segv", culprit, []) == PATH
    assert judge([b"other", b"GET /segv/another?order=9"], "segv", culprit, []) == NOTHING


def test_a_report_of_the_signal_without_the_request_is_news_of_the_death_alone() -> None:
    assert judge([b"signal: SIGSEGV"], "segv", Target("segv"), []) == CRASH
    assert judge([b"signal: SIGSEGV"], "kill", Target("kill"), []) == NOTHING


def test_source_code_shown_around_an_answered_error_is_no_news_of_a_death() -> None:
    answered = Target("error")
    report = b"RuntimeError in " + answered.uri.encode() + b": os.kill(pid, signal.SIGKILL)"

    assert judge([report], "kill", Target("kill"), [answered]) == NOTHING
    assert judge([report, b"SIGKILL"], "kill", Target("kill"), [answered]) == CRASH
