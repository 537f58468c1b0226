"""The errors of a request: which are kept, how much of them, and with which request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.format import ERROR_LIMIT
from standfast.record.errors import bounded, serving, stack_of
from tests.unit.record.wsgi_server import Served, end_of


def raises(error: BaseException, cause: BaseException | None = None) -> Callable[[], NoReturn]:
    def action() -> NoReturn:
        raise error from cause

    return action


@given(st.text(max_size=400), st.integers(160, 300))
def test_a_text_is_bounded_by_its_middle(text: str, limit: int) -> None:
    kept = bounded(text, limit)
    assert len(kept) <= limit
    if len(text) <= limit:
        assert kept == text
    else:
        head, cut, tail = kept.split("\n… ")[0], kept.count("characters cut …"), kept[-40:]
        assert text.startswith(head[: limit // 4]) and text.endswith(tail)
        assert cut == 1 + text.count("characters cut …", 0, len(head))


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
def test_of_a_long_error_the_start_and_the_end_are_kept_within_the_limit(
    tmp_path: Path, character: str
) -> None:
    end = end_of(tmp_path, raises(ValueError(character * 200_000 + " the end")))
    assert end.cut
    assert end.error.startswith("Traceback (most recent call last):\n")
    assert end.error.endswith(f"{character} the end\n")
    assert "characters cut …\n" in end.error
    assert ERROR_LIMIT / 4 < len(end.error.encode()) <= ERROR_LIMIT


def test_an_error_within_the_limit_is_whole_and_not_flagged(tmp_path: Path) -> None:
    end = end_of(tmp_path, raises(ValueError("x" * (ERROR_LIMIT - 2000))))
    assert not end.cut
    assert "x" * (ERROR_LIMIT - 2000) in end.error


def test_an_endless_recursion_leaves_a_stack_of_readable_length(tmp_path: Path) -> None:
    def deeper() -> None:
        deeper()

    end = end_of(tmp_path, deeper)
    assert "RecursionError: maximum recursion depth exceeded" in end.error
    assert "Previous line repeated" in end.error
    assert not end.cut


def test_a_chain_of_exceptions_is_kept_with_every_link(tmp_path: Path) -> None:
    def action() -> None:
        try:
            raise KeyError("row 7")
        except KeyError as error:
            raise LookupError("no such tea") from error

    error = end_of(tmp_path, action).error
    assert error.index("KeyError: 'row 7'") < error.index("LookupError: no such tea")
    assert "direct cause" in error
    assert error.endswith("\nLookupError: no such tea\n")


def test_a_group_and_its_notes_are_kept(tmp_path: Path) -> None:
    one = ValueError("one")
    one.add_note("seen in the cellar")
    error = end_of(tmp_path, raises(ExceptionGroup("both", [one, KeyError("two")]))).error
    for words in ("ExceptionGroup: both", "ValueError: one", "seen in the cellar", "KeyError"):
        assert words in error


def test_a_chain_that_bites_its_tail_is_kept(tmp_path: Path) -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__ = second
    error = end_of(tmp_path, raises(second, cause=first)).error
    assert "ValueError: first\n" in error and error.endswith("ValueError: second\n")


class Hostile(Exception):
    """Fails at whatever may be asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class LooksAtItself(Exception):
    def __str__(self) -> str:
        return str(self)


class NoAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


@pytest.mark.parametrize("kind", [Hostile, NoText, LooksAtItself])
def test_an_exception_that_fails_when_printed_is_recorded_by_its_name(
    tmp_path: Path, kind: type[Exception]
) -> None:
    end = end_of(tmp_path, raises(kind("x")))
    assert kind.__name__ in end.error
    assert not end.aborted


@pytest.mark.parametrize("kind", [Hostile, NoText, LooksAtItself])
def test_an_exception_that_fails_when_printed_reaches_the_server_as_it_is(
    tmp_path: Path, kind: type[Exception]
) -> None:
    error = kind("x")
    one = Served(tmp_path, lambda environ, start_response: raises(error)())
    with pytest.raises(kind) as caught:
        one.call()
    assert caught.value is error


def test_an_exception_that_lets_nobody_look_at_it_has_a_name() -> None:
    assert stack_of(NoAttributes()) == f"{__name__}.NoAttributes\n"


def test_outside_of_a_request_there_is_none(tmp_path: Path) -> None:
    seen: list[Any] = []
    end_of(tmp_path, lambda: seen.append(serving()))
    assert seen[0] is not None
    assert serving() is None
