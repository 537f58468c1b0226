"""Streams: when they are complete, when they are given up, and how far they have come."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from standfast.wsgi import Recorder
from tests.recorded import Request, all_closed, read, read_until
from tests.unit.record.asgi_server import START, Message, Receive, Send
from tests.unit.record.asgi_server import Served as Asgi
from tests.unit.record.wsgi_server import Served, answering


def chunks() -> Iterator[bytes]:
    yield b"one"
    yield b"two"


class Body:
    """A body that can be gone through more than once, and closed."""

    def __iter__(self) -> Iterator[bytes]:
        return chunks()

    def close(self) -> None:
        """There is nothing to do."""


def test_a_body_that_was_fetched_whole_says_so_before_it_is_closed(tmp_path: Path) -> None:
    one = Served(tmp_path, answering(Body()))
    body = one.call()
    assert list(body) == [b"one", b"two"]
    assert list(body) == []
    (complete,) = one.request.ends
    assert (complete.running, complete.status, complete.sent) == (True, 200, 6)
    body.close()
    assert [end.running for end in one.request.ends] == [True, False]


@pytest.mark.parametrize("fetched", [0, 1])
def test_a_body_that_is_dropped_closes_its_record(tmp_path: Path, fetched: int) -> None:
    one = Served(tmp_path, answering(chunks()))
    body = one.call()
    for _ in range(fetched):
        next(body)
    assert one.request.ends == []
    del body
    one.result = None
    assert (one.end.status, one.end.sent, one.end.error) == (200, 3 * fetched, "")


def test_a_body_in_a_cycle_is_closed_when_the_cycle_is_collected(tmp_path: Path) -> None:
    one = Served(tmp_path, answering(chunks()))
    cycle: list[Any] = [one.call()]
    cycle.append(cycle)
    one.result = None
    del cycle
    gc.collect()
    assert one.request.closed


def test_a_body_that_is_dropped_while_a_record_is_written_is_closed_later(tmp_path: Path) -> None:
    one = Served(tmp_path, answering(chunks()), RAW_URI="/dropped")
    body = one.call()
    writer = one.app.channel.open()
    writer._take()  # as a collection of cycles may come in the middle of the writer's own work
    del body
    one.result = None
    writer._give(None)
    other = Served(tmp_path, answering(chunks()), RAW_URI="/other")
    other.whole()
    assert read(tmp_path).one("/dropped").closed


def test_a_body_whose_thread_has_gone_on_is_closed(tmp_path: Path) -> None:
    threaded = {"wsgi.multithread": True}
    first = Served(tmp_path, answering(chunks()), RAW_URI="/first", **threaded)
    first.environ["wsgi.multithread"] = True
    next(first.call())
    Served(tmp_path, answering([b"x"]), RAW_URI="/second", **threaded).call()
    assert read(tmp_path).one("/first").closed


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "dropped"])
def test_nothing_of_a_stream_is_held_once_it_is_over(tmp_path: Path, closed: bool) -> None:
    one = Served(tmp_path, answering(chunks()))
    one.environ["wsgi.multithread"] = True
    body = one.call()
    assert next(body) == b"one"
    assert one.app.channel.streams
    if closed:
        body.close()
        assert not one.app.channel.streams
    del body
    one.result = None
    assert not one.app.channel.streams


def test_a_body_whose_thread_is_shared_with_others_goes_on(tmp_path: Path) -> None:
    first = Served(tmp_path, answering(chunks()), RAW_URI="/first")
    first.app.channel.open()
    first.app.channel.is_shared = True  # as greenlets make it
    first.environ["wsgi.multithread"] = True
    body = first.call()
    next(body)
    Served(tmp_path, answering([b"x"]), RAW_URI="/second").call()
    assert not read(tmp_path).one("/first").closed
    body.close()


def test_a_body_that_serves_a_request_of_its_own_goes_on(tmp_path: Path) -> None:
    inner = Served(tmp_path, answering([b"inner"]), RAW_URI="/inner")

    def asking() -> Iterator[bytes]:
        yield inner.whole()
        yield inner.whole()

    one = Served(tmp_path, answering(asking()), RAW_URI="/outer")
    one.environ["wsgi.multithread"] = inner.environ["wsgi.multithread"] = True
    body = one.call()
    assert next(body) == b"inner"
    inner.environ.pop("standfast.request")
    assert not read(tmp_path).one("/outer").closed
    body.close()


def test_servers_that_take_turns_between_streams_in_one_thread_close_none(tmp_path: Path) -> None:
    bodies = [Served(tmp_path, answering(chunks()), RAW_URI=f"/page/{n}").call() for n in range(2)]
    for body in bodies * 2:
        assert next(body) in (b"one", b"two")
    assert not any(request.ends for request in read(tmp_path).requests)


def test_a_generator_can_be_asked_for_its_chunks_without_an_iterator(tmp_path: Path) -> None:
    body = Served(tmp_path, answering(chunks())).call()
    assert (next(body), next(body)) == (b"one", b"two")
    with pytest.raises(TypeError):
        next(Served(tmp_path, answering(Body())).call())


def steady(request: Request) -> None:
    """What must hold of the progress of any request."""
    ages = [step.age_ns for step in request.progress]
    assert ages and ages[0] >= 1_000_000_000
    apart = [later - earlier for earlier, later in zip(ages, ages[1:], strict=False)]
    assert min(apart, default=5_000_000_000) >= 5_000_000_000


def slow() -> Iterator[bytes]:
    yield b"one"
    time.sleep(1.05)
    yield b"two"
    yield b"three"


def test_a_stream_says_how_far_it_has_come_and_a_short_one_says_nothing(tmp_path: Path) -> None:
    Served(tmp_path, answering(chunks()), RAW_URI="/short").whole()
    Served(tmp_path, answering(slow()), RAW_URI="/long").whole()
    assert read(tmp_path).one("/short").progress == []
    long = read(tmp_path).one("/long")
    steady(long)
    assert long.progress[0].sent == 6


def test_what_is_written_the_old_way_is_counted_and_says_how_far_it_has_come(
    tmp_path: Path,
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        write = start_response("200 OK", [])
        for chunk in slow():
            write(chunk)
        return [b"rest"]

    one = Served(tmp_path, app)
    assert one.call() == [b"rest"]
    steady(one.request)
    assert one.end.sent == 15


def test_a_server_without_a_write_callable_has_none_still(tmp_path: Path) -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        seen.append(start_response("200 OK", []))
        return []

    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "RAW_URI": "/page"}
    Recorder(app, name="shop", journal=str(tmp_path))(environ, lambda *_: None)
    assert seen == [None]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_asgi_stream_says_how_far_it_has_come(tmp_path: Path, kind: str) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if kind == "http":
            await send(START)
            for chunk in slow():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        else:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "öne"})
            await asyncio.sleep(1.05)
            await send({"type": "websocket.send", "bytes": b"two"})

    one = Asgi(tmp_path, app)
    one.run(type=kind)
    steady(one.request)
    assert one.request.end.sent == (11 if kind == "http" else 7)


def test_a_file_that_the_server_sends_by_itself_has_no_known_size(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.pathsend", "path": "/srv/file"})

    one = Asgi(tmp_path, app)
    one.run()
    assert [(end.running, end.sent) for end in one.request.ends] == [(False, None)]
    assert one.request.end.background_ns > 0


@pytest.mark.parametrize(
    ("accept", "stream"),
    [("text/event-stream", True), ("application/json, text/event-stream", True), ("*/*", False)],
)
def test_a_client_that_asks_for_an_event_stream_is_known(
    tmp_path: Path, accept: str, stream: bool
) -> None:
    Served(tmp_path / "wsgi", answering([]), HTTP_ACCEPT=accept).call()
    assert read(tmp_path / "wsgi").requests[0].begin.event_stream == stream

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)

    Asgi(tmp_path / "asgi", app).run(headers=[(b"accept", accept.encode())])
    assert read(tmp_path / "asgi").requests[0].begin.event_stream == stream


@pytest.mark.parametrize("error", [StopIteration, ConnectionError])
def test_a_websocket_that_a_library_has_served_ends_without_an_error(
    tmp_path: Path, error: type[Exception]
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        raise error

    one = Served(tmp_path / "socket", app, HTTP_UPGRADE="WebSocket")
    with pytest.raises(error):
        one.call()
    assert (one.request.begin.kind, one.end.error) == ("websocket", "")
    plain = Served(tmp_path / "plain", app)
    with pytest.raises(error):
        plain.call()
    assert (plain.request.begin.kind, plain.end.error != "") == ("http", True)


def test_downloads_that_are_broken_off_are_closed_under_a_server_that_closes_none(
    tmp_path: Path,
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (bytes(65536) for _ in range(2000))

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    recorder = Recorder(app, name="shop", journal=str(tmp_path))
    server = make_server("127.0.0.1", 0, recorder, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for number in range(10):
            with socket.create_connection(("127.0.0.1", server.server_port)) as client:
                client.sendall(b"GET /%d HTTP/1.0\r\n\r\n" % number)
                client.recv(100)
        recorded = read_until(tmp_path, lambda seen: len(seen.requests) == 10 and all_closed(seen))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert len(recorded.requests) == 10 and all_closed(recorded)
    assert all((request.end.sent or 0) < 2000 * 65536 for request in recorded.requests)
