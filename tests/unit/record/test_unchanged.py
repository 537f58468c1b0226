"""Nothing of ours reaches application or server, whatever the objects do that we touch."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from standfast.record.errors import safely
from tests.recorded import read
from tests.unit.record.asgi_server import START, Message, Receive, Send, make_scope
from tests.unit.record.asgi_server import Served as Asgi
from tests.unit.record.wsgi_server import Served, answering


class Torn(BaseException):
    """As greenlets and time-outs have them: none of ``Exception``."""


class Hostile:
    """Raises whatever it is asked."""

    def __len__(self) -> int:
        raise Torn("length")

    def __bool__(self) -> bool:
        raise Torn("truth")

    def __hash__(self) -> int:
        raise Torn("hash")

    def __eq__(self, other: object) -> bool:
        raise Torn("equality")

    def __str__(self) -> str:
        raise Torn("text")

    def __format__(self, how: str) -> str:
        raise Torn("format")

    def __getattr__(self, name: str) -> Any:
        raise Torn(name)


class HostileError(Exception):
    """Lets nobody look at it."""

    def __getattribute__(self, name: str) -> Any:
        raise Torn(name)

    def __str__(self) -> str:
        raise SystemExit("text")


class HostileText(str):
    """A text with a will of its own."""

    __slots__ = ()

    def find(self, *_: Any) -> int:
        raise Torn("find")

    def __format__(self, how: str) -> str:
        raise Torn("format")


def outcome(action: Callable[[], Any]) -> Any:
    """What a caller gets to see of it: the exception itself, as it is not to be looked at."""
    try:
        return action()
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    "make", [lambda: [Hostile()], lambda: [b"x", Hostile()], lambda: (Hostile(),)]
)
def test_chunks_are_not_touched_but_by_the_server(tmp_path: Path, make: Callable[[], Any]) -> None:
    body = make()
    one = Served(tmp_path, answering(body))
    assert one.call() is body
    assert (one.end.sent, one.end.status) == (None, 200)


def test_a_chunk_of_a_stream_is_not_touched_but_by_the_server(tmp_path: Path) -> None:
    chunk = Hostile()
    one = Served(tmp_path, answering(iter([b"x", chunk])))
    body = one.call()
    assert next(body) == b"x"
    assert next(body) is chunk
    body.close()
    assert one.end.sent is None


@pytest.mark.parametrize("wrapper", [None, lambda file, size=0: file], ids=["plain", "uwsgi"])
def test_a_body_that_raises_when_it_is_looked_at_raises_at_the_server(
    tmp_path: Path, wrapper: Any
) -> None:
    body = Hostile()
    one = Served(tmp_path, answering(body), **({"wsgi.file_wrapper": wrapper} if wrapper else {}))
    result = one.call()
    assert isinstance(outcome(lambda: iter(result)), TypeError), "as it is no iterable"
    assert isinstance(outcome(lambda: result.close()), Torn), "as a server that looks would see"
    assert one.request.closed


@pytest.mark.parametrize("kind", [HostileError, Torn, StopIteration, GeneratorExit])
def test_the_very_exception_of_the_application_reaches_the_server(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    error = kind()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        raise error

    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return Body()

    class Body:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            raise error

        def close(self) -> None:
            raise error

    assert outcome(Served(tmp_path, app).call) is error
    body = Served(tmp_path, late).call()
    assert outcome(lambda: body.__next__()) is error
    assert outcome(lambda: body.close()) is error
    assert all(request.closed for request in read(tmp_path).requests)


@pytest.mark.parametrize("kind", [HostileError, Torn, GeneratorExit])
def test_the_very_exception_of_an_asgi_application_reaches_the_server(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    error = kind()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise error

    one = Asgi(tmp_path, app)
    served = one.app(make_scope(), one.receive, one.send)
    assert outcome(lambda: served.send(None)) is error
    assert one.request.closed


@pytest.mark.parametrize("make", [Hostile, lambda: HostileText("/page")], ids=["object", "text"])
@pytest.mark.parametrize("name", ["RAW_URI", "REMOTE_ADDR", "HTTP_ACCEPT", "HTTP_UPGRADE"])
def test_an_environ_of_hostile_values_is_served_and_recorded(
    tmp_path: Path, name: str, make: Callable[[], Any]
) -> None:
    one = Served(tmp_path, answering([b"served"]), **{name: make()})
    assert one.whole() == b"served"
    (request,) = read(tmp_path).requests
    assert (request.begin.method, request.end.sent) == ("GET", 6)


@pytest.mark.parametrize("make", [lambda: None, list, int, Hostile])
def test_what_is_no_environ_is_handed_on_and_its_request_recorded(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    environ, seen = make(), []

    def app(environ: Any, start_response: Callable[..., Any]) -> Any:
        seen.append(environ)
        return []

    one = Served(tmp_path, app)
    one.environ = environ
    assert (one.whole(), len(seen)) == (b"", 1)
    assert seen[0] is environ
    (request,) = read(tmp_path).requests
    assert request.closed


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"type": "http.response.body", "body": Hostile()},
        lambda: {"type": "http.response.body", "body": b"", "more_body": Hostile()},
        lambda: {"type": Hostile()},
        lambda: {"type": "http.response.start", "status": Hostile()},
        Hostile,
    ],
)
def test_messages_are_not_touched_but_by_the_server(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    message = make()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(message)

    one = Asgi(tmp_path, app)
    one.run()
    assert one.sent[0] is message
    assert one.request.closed


@pytest.mark.parametrize(
    "make",
    [
        Hostile, lambda: [Hostile()], lambda: [(Hostile(), b"x")], lambda: [(b"a",)], int,
        lambda: None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["headers", "client", "raw_path", "query_string", "method"])
def test_a_scope_of_hostile_values_is_served_and_recorded(
    tmp_path: Path, name: str, make: Callable[[], Any]
) -> None:
    value, seen = make(), []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope[name])

    one = Asgi(tmp_path, app)
    one.run(**{name: value})
    assert seen[0] is value
    assert one.request.begin.kind == "http"
    assert one.request.closed


def test_headers_that_can_be_read_once_are_the_applications_to_read(tmp_path: Path) -> None:
    headers = make_scope()["headers"]

    def broken() -> Iterator[Any]:
        yield headers[0]
        raise ConnectionError("torn")

    seen: list[Any] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(outcome(lambda: [next(scope["headers"]), *scope["headers"]]))
        await send(START)

    one = Asgi(tmp_path, app)
    one.run(headers=iter(headers))
    assert seen == [headers]
    one.run(headers=broken())
    assert isinstance(seen[1], ConnectionError)
    for request in read(tmp_path).requests:
        assert request.begin.host == "shop.example"


def test_headers_of_any_iterable_are_recorded_and_stay_what_they_are(tmp_path: Path) -> None:
    class Headers:
        def __iter__(self) -> Iterator[Any]:
            return iter(make_scope()["headers"])

    headers, seen = Headers(), []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope["headers"])

    one = Asgi(tmp_path, app)
    one.run(headers=headers)
    assert seen[0] is headers
    assert one.request.begin.user_agent == "curl/8"


def test_a_header_sent_twice_is_recorded_with_both_its_values(tmp_path: Path) -> None:
    twice = [(b"x-forwarded-for", b"198.51.100.7"), (b"x-forwarded-for", b"203.0.113.9")]
    one = Asgi(tmp_path, answering_nothing)
    one.run(headers=twice)
    assert one.request.begin.forwarded_for == "198.51.100.7, 203.0.113.9"


async def answering_nothing(scope: Message, receive: Receive, send: Send) -> None:
    """An application that says nothing."""


def test_what_an_asgi_application_returns_is_the_servers_to_complain_of(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> Any:
        return 7

    one = Asgi(tmp_path, app)
    assert asyncio.run(one.app(make_scope(), one.receive, one.send)) == 7


class Handler:
    """What an application may have as its handler of a signal."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __call__(self, number: int, frame: Any) -> None:
        raise self.kind("of the handler")

    def method(self, number: int, frame: Any) -> None:
        raise self.kind("of the handler")


def raising(kind: type[BaseException], number: int, frame: Any) -> None:
    raise kind("of the handler")


@pytest.mark.parametrize("kind", [SystemExit, TimeoutError])
@pytest.mark.parametrize(
    "made",
    [
        lambda kind: lambda *arguments: raising(kind, *arguments),
        lambda kind: partial(raising, kind),
        Handler,
        lambda kind: Handler(kind).method,
    ],
)
def test_what_a_signal_handler_raises_passes_the_guard_and_all_else_does_not(
    made: Callable[[type[BaseException]], Any], kind: type[BaseException]
) -> None:
    def raises() -> None:
        raise kind("of ours")

    before = signal.signal(signal.SIGUSR2, made(kind))
    try:
        with pytest.raises(kind, match="of the handler"):
            safely(signal.raise_signal, signal.SIGUSR2)
        assert safely(raises, default="guarded") == "guarded"
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_time_out_of_the_application_that_strikes_while_we_look_is_not_lost(
    tmp_path: Path,
) -> None:
    class Slow:
        def __str__(self) -> str:
            signal.raise_signal(signal.SIGUSR2)
            return "slow"

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        # Nobody but us reads the text of it.
        with pytest.raises(TimeoutError):
            logger.error(Slow())
        return [b"timed out"]

    logger = logging.getLogger("test of time-outs")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    before = signal.signal(signal.SIGUSR2, partial(raising, TimeoutError))
    try:
        assert Served(tmp_path, app).whole() == b"timed out"
    finally:
        signal.signal(signal.SIGUSR2, before)
