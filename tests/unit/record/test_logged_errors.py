"""Errors that are logged during a request are kept with that request and with no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import read
from tests.unit.record.wsgi_server import Served, end_of

LOG = logging.getLogger("shop")


class Unprintable:
    """Fails when it is to be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_a_logged_exception_is_kept_with_its_stack_and_its_cause(tmp_path: Path) -> None:
    def action() -> None:
        try:
            raise KeyError("row 7")
        except KeyError:
            LOG.exception("no tea for %s", "joe")

    error = end_of(tmp_path, action).error
    assert error.startswith("shop: no tea for joe\nTraceback (most recent call last):\n")
    assert error.endswith("\nKeyError: 'row 7'\n")


def test_errors_are_kept_from_error_upwards_whatever_the_logger(tmp_path: Path) -> None:
    def action() -> None:
        LOG.warning("a warning")
        LOG.error("an error")
        logging.getLogger("shop.till").critical("a catastrophe")
        logging.error("of the root")

    error = end_of(tmp_path, action).error
    assert error == "shop: an error\nshop.till: a catastrophe\nroot: of the root\n"


def test_of_many_logged_errors_the_first_ones_and_the_last_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def action() -> None:
        for number in range(100_000):
            LOG.error("number %d", number)

    monkeypatch.setattr(LOG, "propagate", False)  # what pytest would keep of them
    lines = end_of(tmp_path, action).error.splitlines()
    assert lines[:3] == ["shop: number 0", "shop: number 1", "shop: number 2"]
    assert lines[-2:] == ["… more errors …", "shop: number 99999"]
    assert len(lines) < 12


def test_the_error_that_escaped_is_kept_beside_those_that_were_logged(tmp_path: Path) -> None:
    def action() -> None:
        for number in range(50):
            LOG.error("number %d", number)
        raise ValueError("the last straw")

    end = end_of(tmp_path, action)
    assert end.error.startswith("shop: number 0\n")
    assert end.error.endswith("\nValueError: the last straw\n")
    assert not end.logged


def test_an_end_says_whether_its_errors_were_only_logged(tmp_path: Path) -> None:
    assert end_of(tmp_path, lambda: LOG.error("refused")).logged
    assert not end_of(tmp_path / "other", lambda: None).logged


@pytest.mark.parametrize(
    ("message", "arguments", "kept"),
    [
        ("no %d here", ("number",), "shop: no %d here\n"),
        ("too few %s %s", ("x",), "shop: too few %s %s\n"),
        (Unprintable(), (), "shop: Unprintable\n"),
        (7, (), "shop: 7\n"),
        ("%s", (Unprintable(),), "shop: %s\n"),
    ],
)
def test_a_log_message_that_fails_when_formatted_is_kept_as_far_as_it_goes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    message: Any,
    arguments: tuple[Any, ...],
    kept: str,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # else the handlers of pytest raise
    monkeypatch.setattr(LOG, "propagate", False)
    assert end_of(tmp_path, lambda: LOG.error(message, *arguments)).error == kept


def test_what_handlers_get_to_see_is_what_the_application_logged(tmp_path: Path) -> None:
    seen: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Keep()
    LOG.addHandler(handler)
    try:
        end_of(tmp_path, lambda: LOG.error("no %s", "tea", extra={"table": 7}))
    finally:
        LOG.removeHandler(handler)
    (record,) = seen
    assert (record.msg, record.args, record.exc_info) == ("no %s", ("tea",), None)
    assert record.__dict__["table"] == 7
    assert record.funcName == "<lambda>"
    assert record.pathname == __file__


def test_a_log_record_that_came_from_elsewhere_can_still_be_made(tmp_path: Path) -> None:
    sent = {"name": "till", "levelno": logging.ERROR, "msg": "from another process"}
    made: list[logging.LogRecord] = []
    end = end_of(tmp_path, lambda: made.append(logging.makeLogRecord(sent)))
    assert made[0].getMessage() == "from another process"
    assert end.error == ""


def test_the_applications_own_factory_of_log_records_still_makes_them(tmp_path: Path) -> None:
    before = logging.getLogRecordFactory()

    class Own(logging.LogRecord):
        pass

    made: list[logging.LogRecord] = []

    def own(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made.append(Own(*args, **kwargs))
        return made[-1]

    logging.setLogRecordFactory(own)
    try:
        assert end_of(tmp_path / "one", lambda: LOG.error("once")).error == "shop: once\n"
        # Another journal in the same process: the error is not noted a second time.
        assert end_of(tmp_path / "two", lambda: LOG.error("again")).error == "shop: again\n"
    finally:
        logging.setLogRecordFactory(before)
    assert [record.msg for record in made] == ["once", "again"]


def test_a_factory_of_the_application_around_ours_has_no_error_noted_twice(tmp_path: Path) -> None:
    before = logging.getLogRecordFactory()
    assert end_of(tmp_path / "one", lambda: LOG.error("once")).error == "shop: once\n"
    ours = logging.getLogRecordFactory()
    try:
        logging.setLogRecordFactory(lambda *args, **kwargs: ours(*args, **kwargs))
        # Another journal in the same process looks again whether logging is watched.
        assert end_of(tmp_path / "two", lambda: LOG.error("again")).error == "shop: again\n"
        assert logging.getLogRecordFactory() is not ours
    finally:
        logging.setLogRecordFactory(before)


def test_errors_of_requests_in_threads_go_to_their_own_request(tmp_path: Path) -> None:
    threads, each = 8, 25
    together = threading.Barrier(threads)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        uri = environ["RAW_URI"]
        LOG.error("called for %s", uri)
        start_response("200 OK", [])
        yield b"x"
        LOG.error("streaming for %s", uri)
        yield b"y"

    def work(thread: int) -> None:
        together.wait()
        for number in range(each):
            Served(tmp_path, app, RAW_URI=f"/page/{thread}/{number}").whole()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    requests = read(tmp_path).requests
    assert len(requests) == threads * each
    for request in requests:
        uri = request.begin.uri
        assert request.end.error == f"shop: called for {uri}\nshop: streaming for {uri}\n"


def test_errors_of_streams_that_take_turns_in_one_thread_go_to_their_own_request(
    tmp_path: Path,
) -> None:
    class Body:
        def __init__(self, uri: str) -> None:
            self.uri = uri

        def __iter__(self) -> Iterator[bytes]:
            LOG.error("iterated for %s", self.uri)
            return self.chunks()

        def chunks(self) -> Iterator[bytes]:
            for number in range(2):
                LOG.error("chunk %d for %s", number, self.uri)
                yield b"x"

        def close(self) -> None:
            LOG.error("closed for %s", self.uri)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Body:
        LOG.error("called for %s", environ["RAW_URI"])
        start_response("200 OK", [])
        return Body(environ["RAW_URI"])

    bodies = [Served(tmp_path, app, RAW_URI=f"/page/{number}").call() for number in range(3)]
    for chunks in zip(*bodies, strict=True):
        assert chunks == (b"x",) * 3
    for body in reversed(bodies):
        body.close()
    for request in read(tmp_path).requests:
        uri = request.begin.uri
        words = ("called", "iterated", "chunk 0", "chunk 1", "closed")
        assert request.end.error == "".join(f"shop: {word} for {uri}\n" for word in words)


def test_an_error_in_a_thread_of_the_applications_own_is_no_other_requests(tmp_path: Path) -> None:
    def action() -> None:
        thread = threading.Thread(target=LOG.error, args=("from a thread",))
        thread.start()
        thread.join()

    assert end_of(tmp_path, action).error == ""
