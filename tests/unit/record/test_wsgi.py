"""The WSGI recorder closes every request as it ended, and changes nothing that passes through."""

from __future__ import annotations

import gc
import io
import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from standfast.wsgi import Recorder
from tests.recorded import read
from tests.unit.record.wsgi_server import App, Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made = []

    def served(app: App, **environ: Any) -> Served:
        made.append(Served(tmp_path, app, **environ))
        return made[-1]

    yield served
    for one in made:
        one.app.channel.open().close()


def ok(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def streamed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("206 Partial Content", [("Content-Type", "text/plain")])
    yield b"one"
    yield b"three"


@pytest.mark.parametrize("app", [ok, streamed])
def test_a_validator_on_either_side_finds_nothing_wrong(
    serve: Callable[..., Served], app: App
) -> None:
    one = serve(validator(app))
    outer = validator(one.app)
    body = outer(one.environ, one.start_response)
    assert b"".join(body) in (b"hello", b"onethree")
    body.close()  # type: ignore[attr-defined]
    assert one.end.status in (200, 206)
    assert one.end.error == ""


def test_a_list_is_handed_through_and_its_bytes_are_counted(serve: Callable[..., Served]) -> None:
    response = [b"one", b"two", b""]
    one = serve(lambda environ, start: (start("201 Created", []), response)[1])
    assert one.call() is response
    assert (one.end.status, one.end.sent, one.end.error) == (201, 6, "")


def test_the_record_begins_before_the_application_and_ends_with_its_body(
    serve: Callable[..., Served],
) -> None:
    one = serve(streamed)
    body = one.call()
    assert one.request.ends == []
    assert list(body) == [b"one", b"three"]
    assert [end.running for end in one.request.ends] == [True], "the server has yet to close it"
    body.close()
    assert (one.end.status, one.end.sent) == (206, 8)


def test_a_stream_that_the_client_leaves_is_closed_without_an_error(
    serve: Callable[..., Served],
) -> None:
    closed = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"first"
            yield b"second"
        finally:
            closed.append(True)

    one = serve(app)
    body = one.call()
    assert next(iter(body)) == b"first"
    body.close()
    assert closed == [True]
    assert (one.end.sent, one.end.error, one.end.aborted) == (5, "", False)


def raising(where: str) -> App:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if where == "before":
            raise ValueError("broken")
        start_response("200 OK", [])
        if where == "after":
            raise ValueError("broken")
        return body()

    def body() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("broken")

    return app


@pytest.mark.parametrize(("where", "status"), [("before", None), ("after", 200), ("within", 200)])
def test_an_exception_passes_through_and_its_stack_is_kept(
    serve: Callable[..., Served], where: str, status: int | None
) -> None:
    one = serve(raising(where))
    with pytest.raises(ValueError, match="broken") as caught:
        one.whole()
    assert caught.value.__traceback__ is not None
    assert (one.end.status, one.end.aborted) == (status, False)
    assert one.end.error.startswith("Traceback (most recent call last):\n")
    assert one.end.error.endswith("ValueError: broken\n")
    assert "standfast/record" not in one.end.error


def test_an_error_page_with_exc_info_reaches_the_server(serve: Callable[..., Served]) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"oops"]

    one = serve(app)
    with pytest.raises(ValueError, match="late"):
        one.call()
    assert (one.statuses, one.end.status) == (["200 OK"], 500)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
def test_what_tears_the_application_out_is_told_from_an_error(
    serve: Callable[..., Served], error: BaseException
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise error

    one = serve(app)
    with pytest.raises(type(error)):
        one.call()
    assert one.end.aborted
    assert type(error).__name__ in one.end.error


def test_a_body_whose_close_fails_is_recorded_with_that_error(
    serve: Callable[..., Served],
) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            raise RuntimeError("cannot close")

    one = serve(lambda environ, start: (start("200 OK", []), Body())[1])
    with pytest.raises(RuntimeError, match="cannot close"):
        one.whole()
    assert one.end.error.endswith("RuntimeError: cannot close\n")


def test_the_write_callable_and_the_length_of_a_body_are_the_servers_and_the_applications(
    serve: Callable[..., Served],
) -> None:
    written: list[bytes] = []

    class Body:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"rest"])

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])(b"early")
        return Body()

    one = serve(app)
    one.start_response = lambda *_: written.append  # type: ignore[method-assign]
    body = one.call()
    assert (written, len(body), list(body)) == ([b"early"], 1, [b"rest"])
    body.close()
    assert one.end.sent == 9, "what was written counts too"


def test_the_servers_own_file_wrapper_stays_what_it_is(serve: Callable[..., Served]) -> None:
    closed = []

    class File(io.BytesIO):
        def close(self) -> None:
            closed.append(True)
            super().close()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](File(b"contents"))

    one = serve(app, **{"wsgi.file_wrapper": FileWrapper})
    body = one.call()
    assert type(body) is FileWrapper
    assert one.request.ends == []
    assert b"".join(body) == b"contents"
    body.close()
    assert (closed, one.end.status) == ([True], 200)
    assert one.end.sent is None, "the server alone knows"


def test_an_application_recorded_twice_is_recorded_once(serve: Callable[..., Served]) -> None:
    inner = serve(ok)
    outer = serve(inner.app)
    assert outer.whole() == b"hello"
    assert len(outer.request.ends) == 1


def test_the_same_environ_may_be_served_again(serve: Callable[..., Served]) -> None:
    """As middlewares do that call the application a second time with a copy of the environ."""
    one = serve(ok)
    one.whole()
    del one.environ["standfast.request"]
    one.whole()
    assert len(read(one.journal).of("/page")) == 2


@pytest.mark.parametrize("missing", ["REQUEST_METHOD", "PATH_INFO", "SCRIPT_NAME", "RAW_URI"])
def test_an_environ_that_lacks_something_is_served_nevertheless(
    serve: Callable[..., Served], missing: str
) -> None:
    one = serve(ok)
    del one.environ[missing]
    assert one.whole() == b"hello"


@pytest.mark.parametrize(
    ("environ", "uri"),
    [
        ({"RAW_URI": "/a%2Fb?c", "REQUEST_URI": "/no"}, "/a%2Fb?c"),
        ({"RAW_URI": "", "REQUEST_URI": "/b?d=1"}, "/b?d=1"),
        ({"RAW_URI": "", "PATH_INFO": "/c d/\xc3\xa4", "QUERY_STRING": "q"}, "/c%20d/%C3%A4?q"),
        ({"RAW_URI": "", "SCRIPT_NAME": "/app", "PATH_INFO": "/x"}, "/app/x?x=1"),
        ({"RAW_URI": "", "PATH_INFO": "", "QUERY_STRING": ""}, "/"),
        ({"RAW_URI": "http://me:pw@shop.example/e?password=x"}, "http://***@shop.example/e?password=***"),
        ({"RAW_URI": "http://me:pw@shop.example/e"}, "http://***@shop.example/e"),
        ({"RAW_URI": "/f?a=1&Password=x"}, "/f?a=1&Password=***"),
        ({"RAW_URI": "/\ud800"}, "/\\ud800"),
    ],
)  # fmt: skip
def test_the_uri_is_as_the_client_sent_it_where_the_server_says_and_without_secrets(
    serve: Callable[..., Served], environ: dict[str, Any], uri: str
) -> None:
    one = serve(ok, **environ)
    one.whole()
    assert read(one.journal).requests[0].begin.uri == uri


def test_errors_that_the_application_logs_are_kept_with_its_request(
    serve: Callable[..., Served],
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        log = logging.getLogger("shop")
        log.warning("no error")
        log.error("payment %s failed, password=%s", 7, "hunter2")
        return [b"x"]

    one = serve(app)
    one.whole()
    assert one.end.error == "shop: payment 7 failed, password=***\n"


def test_nothing_of_a_request_is_held_once_it_is_over(serve: Callable[..., Served]) -> None:
    class Payload:
        pass

    payload = Payload()
    gone = weakref.ref(payload)
    for app in (ok, streamed):
        one = serve(app, payload=payload)
        one.whole()
        one.environ, one.result = {}, None
    del payload
    was_on = gc.isenabled()
    gc.disable()
    try:
        assert gone() is None, "a circle of references holds the environ"
    finally:
        if was_on:
            gc.enable()


def test_the_cpu_time_is_recorded_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, wanted in (("plain", "0"), ("timed", "1")):
        monkeypatch.setenv("STANDFAST_CPU_TIME", wanted)
        journal = tmp_path / name
        app = Recorder(ok, name="shop", journal=str(journal))
        environ = {"RAW_URI": "/page"}
        setup_testing_defaults(environ)
        app(environ, lambda *_: None)
        cpu_ns = read(journal).one("/page").end.cpu_ns
        assert (cpu_ns is not None) == (wanted == "1")


def test_a_body_whose_start_was_looked_at_goes_on_from_there(
    serve: Callable[..., Served],
) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"one", b"two"])

    one = serve(lambda environ, start: (start("200 OK", []), Body())[1])
    body = one.call()
    first = next(iter(body))
    assert (first, b"".join(body)) == (b"one", b"two")
    body.close()
    assert one.end.sent == 6


@pytest.mark.parametrize("status", [200, b"200 OK", ["200"], None])
def test_a_status_that_is_no_text_leaves_nothing_open(
    serve: Callable[..., Served], status: Any
) -> None:
    one = serve(lambda environ, start: (start(status, []), [b"x"])[1])
    one.call()
    assert (one.statuses, one.request.closed) == ([status], True)
