"""Odd bodies, odd statuses and odd ends: the WSGI recorder bears with what PEP 3333 allows."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from standfast.wsgi import Recorder
from tests.unit.record.wsgi_server import App, Served, answering


class Body:
    """A body without ``close`` and without a length."""

    def __init__(self, *chunks: Any, stop: BaseException | None = None) -> None:
        self.chunks = chunks
        self.stop = stop

    def __iter__(self) -> Iterator[Any]:
        yield from self.chunks
        if self.stop is not None:
            raise self.stop


def test_a_tuple_is_handed_through_and_its_bytes_are_counted(tmp_path: Path) -> None:
    body = (b"one", b"three")
    one = Served(tmp_path, answering(body))
    assert one.call() is body
    assert one.end.sent == 8


@pytest.mark.parametrize("body", [[], (), Body(), iter(())])
def test_an_empty_body_is_zero_bytes(tmp_path: Path, body: Any) -> None:
    one = Served(tmp_path, answering(body))
    assert one.whole() == b""
    assert (one.end.status, one.end.sent) == (200, 0)


def test_a_body_without_close_is_closed_by_the_servers_close(tmp_path: Path) -> None:
    one = Served(tmp_path, answering(Body(b"ab", b"c")))
    body = one.call()
    assert list(body) == [b"ab", b"c"]
    assert not one.request.closed
    body.close()
    body.close()
    assert one.end.sent == 3


def test_a_body_that_is_never_iterated_is_closed_all_the_same(tmp_path: Path) -> None:
    one = Served(tmp_path, answering(Body(b"never sent")))
    one.call().close()
    assert (one.end.sent, one.end.error) == (0, "")


def test_a_body_with_a_length_has_it_still_and_one_without_has_none(tmp_path: Path) -> None:
    class Sized(Body):
        closed = 0

        def __len__(self) -> int:
            return len(self.chunks)

        def close(self) -> None:
            self.closed += 1

    sized = Sized(b"one", b"two")
    one = Served(tmp_path, answering(sized))
    body = one.call()
    assert len(body) == 2
    assert list(body) == [b"one", b"two"]
    body.close()
    assert (sized.closed, one.end.sent) == (1, 6)
    assert not hasattr(Served(tmp_path, answering(Body(b"x"))).call(), "__len__")


def test_a_body_with_a_length_can_be_gone_through_as_often_as_without_the_recorder(
    tmp_path: Path,
) -> None:
    one = Served(tmp_path, answering({b"key": 1, b"other": 2}))
    body = one.call()
    assert sum(map(len, body)) == 8
    assert list(body) == [b"key", b"other"]
    body.close()
    assert (one.end.sent, one.end.running) == (8, False)


def test_a_body_that_fails_to_become_an_iterator_is_recorded_with_that_error(
    tmp_path: Path,
) -> None:
    class Broken:
        def __iter__(self) -> Iterator[bytes]:
            raise OSError("no chunks today")

    one = Served(tmp_path, answering(Broken()))
    with pytest.raises(OSError, match="no chunks today"):
        one.whole()
    assert one.end.error.endswith("\nOSError: no chunks today\n")


@pytest.mark.parametrize("body", [None, 7, Body("text"), Body(3), ["text", 3], [None], (1, b"")])
def test_what_is_no_body_reaches_the_server_as_it_is_without_the_recorder(
    tmp_path: Path, body: Any
) -> None:
    def outcome(app: App) -> Any:
        environ, chunks = dict(one.environ), []
        try:
            result = app(environ, one.start_response)
            chunks = list(result)
        except Exception as error:
            return type(error), str(error)
        return chunks

    one = Served(tmp_path, answering(body))
    assert outcome(one.app) == outcome(one.app.app)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_tears_the_application_out_of_its_body_is_told_from_an_error(
    tmp_path: Path, error: BaseException
) -> None:
    one = Served(tmp_path, answering(Body(b"ab", stop=error)))
    with pytest.raises(type(error)):
        one.whole()
    assert (one.end.aborted, one.end.sent) == (True, 2)
    assert type(error).__name__ in one.end.error


def test_a_green_thread_that_is_ended_is_no_error_of_the_application(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise GeneratorExit

    one = Served(tmp_path, app)
    with pytest.raises(GeneratorExit):
        one.call()
    assert (one.end.error, one.end.aborted) == ("", False)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("200 OK", 200), ("599", 599), ("404", 404), ("", None), ("OK", None), ("-12 x", None),
        ("20", 20), ("\xb2\xb9\xb3 x", None), ("200\r\nX: y", 200), (None, None),
    ],
)  # fmt: skip
def test_a_status_line_of_any_kind_reaches_the_server_and_closes_the_request(
    tmp_path: Path, status: Any, code: int | None
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return []

    one = Served(tmp_path, app)
    one.call()
    assert one.statuses == [status]
    assert one.end.status == code


def test_an_application_that_starts_no_response_has_no_status(tmp_path: Path) -> None:
    one = Served(tmp_path, lambda environ, start_response: [])
    one.call()
    assert one.end.status is None


def test_a_status_that_is_replaced_before_the_body_is_the_one_that_counts(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"oops"]

    seen: list[Any] = []
    one = Served(tmp_path, app)
    one.start_response = lambda *arguments: seen.append(arguments)  # type: ignore[method-assign]
    assert one.call() == [b"oops"]
    assert one.end.status == 500
    assert [arguments[0] for arguments in seen] == ["200 OK", "500 Oops"]
    assert seen[1][2][1].args == ("late",)


class File(io.BytesIO):
    """A file that is really open, as far as uWSGI asks."""

    def fileno(self) -> int:
        return 99


def test_a_file_that_uwsgi_would_send_stays_that_file_and_is_closed_once(tmp_path: Path) -> None:
    # uWSGI's file wrapper is a function: it gives back the file that it was given.
    file = File(b"contents")
    one = Served(tmp_path, answering(file), **{"wsgi.file_wrapper": lambda file, size=0: file})
    body = one.call()
    assert body is file
    assert body.fileno() == 99
    assert one.request.ends == []
    body.close()
    assert file.closed
    assert (one.end.status, one.end.error) == (200, "")


def test_a_file_without_a_file_wrapper_is_a_body_like_any_other(tmp_path: Path) -> None:
    file = File(b"one\nthree")
    one = Served(tmp_path, answering(file))
    one.environ.pop("wsgi.file_wrapper", None)
    assert one.whole() == b"one\nthree"
    assert file.closed
    assert one.end.sent == 9


def test_a_file_that_takes_no_other_close_is_sent_all_the_same(tmp_path: Path) -> None:
    class Fixed:
        __slots__ = ()
        fileno = read = close = lambda self: 0

    file = Fixed()
    one = Served(tmp_path, answering(file), **{"wsgi.file_wrapper": lambda file, size=0: file})
    assert one.call() is file
    assert one.request.closed


@pytest.mark.parametrize("kind", ["list", "stream", "sized", "left early", "file", "failed late"])
def test_the_recorder_leaves_no_work_to_the_collector_of_cycles(tmp_path: Path, kind: str) -> None:
    def stream() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    class Sized(Body):
        def __len__(self) -> int:
            return 1

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        if kind == "failed late":
            try:
                raise ValueError("late")
            except ValueError:
                start_response("500 Oops", [], sys.exc_info())
        if kind == "list":
            return [b"x"]
        if kind == "file":
            return File(b"x")
        return Sized(environ) if kind == "sized" else stream()

    recorder = Recorder(app, name="shop", journal=str(tmp_path))

    def once() -> None:
        environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "RAW_URI": "/page"}
        if kind == "file":
            environ["wsgi.file_wrapper"] = lambda file: file

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            if exc_info:
                try:
                    raise exc_info[1]
                finally:
                    exc_info = None
            return lambda data: environ[data]  # as a server's, it holds the environ

        if kind == "failed late":
            with pytest.raises(ValueError, match="late"):
                recorder(environ, start_response)
            return
        body = recorder(environ, start_response)
        if kind == "left early":
            next(iter(body))
        else:
            list(body)
        getattr(body, "close", list)()

    once()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            once()
        assert gc.collect() == 0
    finally:
        gc.enable()
