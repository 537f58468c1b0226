"""The ways for an ASGI exchange to end, and odd scopes: each record is closed as it happened."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standfast.journal.format import FIELD_LIMIT, URI_LIMIT
from tests.recorded import read
from tests.unit.record.asgi_server import START, App, Message, Receive, Send, Served, make_scope

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
LAST = {"type": "http.response.body", "body": b"done"}


def sending(*messages: Message, then: BaseException | None = None) -> App:
    """An application that sends ``messages`` and then returns, or raises ``then``."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """A WebSocket that echoes until it is closed by the client, or asked to close."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send(ACCEPT)
        elif message.get("text") == "close":
            await send({"type": "websocket.close", "code": 1000})
            return
        else:
            await send({"type": "websocket.send", "text": message["text"]})


def websocket(served: Served) -> None:
    """Serves one WebSocket."""
    scope = make_scope(type="websocket", scheme="ws")
    del scope["method"]
    asyncio.run(served.app(scope, served.receive, served.send))


@pytest.mark.parametrize("last", ["websocket.disconnect", "close"])
def test_a_websocket_is_closed_by_either_side(tmp_path: Path, last: str) -> None:
    said: list[Message] = [{"type": "websocket.receive", "text": "hello"}]
    said += [{"type": last} if last != "close" else {"type": "websocket.receive", "text": "close"}]
    one = Served(tmp_path, echo, [CONNECT, *said])
    websocket(one)
    assert one.sent[:2] == [ACCEPT, {"type": "websocket.send", "text": "hello"}]
    (end,) = one.request.ends
    assert (one.request.begin.kind, end.status, end.error) == ("websocket", 101, "")


@pytest.mark.parametrize(("accepted", "status"), [(True, 101), (False, None)])
def test_an_error_within_a_websocket_is_recorded_with_its_stack(
    tmp_path: Path, accepted: bool, status: int | None
) -> None:
    one = Served(tmp_path, sending(*[ACCEPT] * accepted, then=ValueError("broken")))
    with pytest.raises(ValueError, match="broken"):
        websocket(one)
    assert one.request.end.status == status
    assert one.request.end.error.endswith("\nValueError: broken\n")


def test_a_websocket_stays_open_until_the_application_returns(tmp_path: Path) -> None:
    ends = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close"})
        ends.append(list(read(tmp_path).requests[0].ends))

    one = Served(tmp_path, app)
    websocket(one)
    assert ends == [[]]
    assert one.request.closed


@pytest.mark.parametrize("failing", [START["type"], LAST["type"]])
def test_an_error_of_the_servers_send_reaches_the_application_and_the_record(
    tmp_path: Path, failing: str
) -> None:
    seen = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in (START, LAST):
            try:
                await send(message)
            except OSError as error:
                seen.append(error)
                raise

    class Gone(Served):
        async def send(self, message: Message) -> None:
            if message["type"] == failing:
                raise BrokenPipeError("the client has gone")

    one = Gone(tmp_path, app)
    with pytest.raises(BrokenPipeError) as caught:
        one.run()
    assert seen == [caught.value]
    assert one.request.end.error.endswith("\nBrokenPipeError: the client has gone\n")
    assert not one.request.end.cancelled


def test_an_application_that_bears_an_error_of_send_has_none_recorded(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with contextlib.suppress(OSError):
            await send(START)

    class Gone(Served):
        async def send(self, message: Message) -> None:
            raise BrokenPipeError("the client has gone")

    one = Gone(tmp_path, app)
    one.run()
    assert one.request.end.error == ""


def test_background_work_that_fails_is_an_error_of_its_request(tmp_path: Path) -> None:
    one = Served(tmp_path, sending(START, LAST, then=ValueError("after the response")))
    with pytest.raises(ValueError, match="after the response"):
        one.run()
    (returned,) = one.request.ends
    assert returned.background_ns > 0
    assert (returned.running, returned.status, returned.sent) == (False, 201, 4)
    assert returned.error.endswith("\nValueError: after the response\n")


def test_background_work_that_is_cancelled_is_closed_as_cancelled(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(LAST)
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(one.call())
        while len(one.sent) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    one = Served(tmp_path, app)
    asyncio.run(main())
    (end,) = one.request.ends
    assert (end.running, end.cancelled, end.background_ns > 0) == (False, True, True)


def test_a_cancellation_that_the_application_bears_is_none(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await send(START)
        await send(LAST)

    async def main() -> None:
        task = asyncio.ensure_future(one.call())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    one = Served(tmp_path, app)
    asyncio.run(main())
    assert (one.request.end.cancelled, one.request.end.status) == (False, 201)


def test_bytes_are_counted_over_all_parts_of_the_body(tmp_path: Path) -> None:
    parts = [{"type": "http.response.body", "body": bytes(size), "more_body": True}
             for size in (0, 1, 70_000)]  # fmt: skip
    one = Served(tmp_path, sending(START, *parts, {"type": "http.response.body"}))
    one.run()
    assert one.request.end.sent == 70_001


def test_messages_of_extensions_pass_through(tmp_path: Path) -> None:
    messages: list[Message] = [
        {"type": "http.response.push", "path": "/x", "headers": []},
        START,
        {"type": "http.response.pathsend", "path": "/srv/x"},
        {"type": "http.response.trailers", "headers": []},
    ]
    one = Served(tmp_path, sending(*messages))
    one.run()
    assert one.sent == messages
    assert one.request.end.status == 201


def test_a_logged_error_outside_of_any_request_is_nobodys(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(LAST)

    async def main() -> None:
        await asyncio.create_task(one.call())
        logging.getLogger("shop").error("between two requests")
        await asyncio.create_task(one.call())

    one = Served(tmp_path, app)
    asyncio.run(main())
    requests = read(tmp_path).requests
    assert [request.end.error for request in requests] == ["", ""]


def test_an_application_that_hands_on_a_copy_of_the_scope_is_recorded_once(tmp_path: Path) -> None:
    inner = Served(tmp_path, sending(START, LAST))

    async def mount(scope: Message, receive: Receive, send: Send) -> None:
        await inner.app({**scope, "root_path": "/mounted"}, receive, send)

    one = Served(tmp_path, mount)
    one.run()
    assert len(read(tmp_path).requests) == 1


@pytest.mark.parametrize(
    ("scope", "cut"),
    [
        ({"raw_path": b"/" + b"a" * 102_400, "query_string": b""}, "uri"),
        ({"headers": [(b"user-agent", b"a" * 5000)]}, "user_agent"),
        ({"headers": [(b"host", b"a" * 5000)]}, "host"),
        ({"method": "a" * 5000}, "method"),
        ({"client": ("a" * 5000, 1)}, "client"),
    ],
)
def test_a_text_over_its_limit_is_cut_and_flagged(tmp_path: Path, scope: Message, cut: str) -> None:
    one = Served(tmp_path, sending(START, LAST))
    one.run(**scope)
    begin = one.request.begin
    assert begin.cut
    text = getattr(begin, cut)
    assert text.endswith("a…")
    assert len(text.encode()) == (URI_LIMIT if cut == "uri" else FIELD_LIMIT)


@pytest.mark.parametrize(
    "scope",
    [
        {"headers": None}, {"headers": [(b"host",)]}, {"headers": [("host", "text")]},
        {"headers": [(b"host", None)]}, {"client": ("192.0.2.7",)}, {"client": 7}, {"client": ()},
        {"client": (None, None)}, {"method": None}, {"path": None, "raw_path": None},
        {"path": "/\ud800", "raw_path": None}, {"raw_path": "/text"}, {"query_string": "a=b"},
        {"query_string": None}, {"http_version": object()},
    ],
)  # fmt: skip
def test_a_scope_of_the_wrong_types_keeps_nobody_from_being_served(
    tmp_path: Path, scope: Message
) -> None:
    one = Served(tmp_path, sending(START, LAST))
    one.run(**scope)
    assert one.sent == [START, LAST]


def test_zero_bytes_and_other_bytes_that_are_no_text_are_recorded_escaped(tmp_path: Path) -> None:
    headers = [(b"user-agent", b"a\xff\x00b"), (b"host", "bücher.example".encode())]
    one = Served(tmp_path, sending(START, LAST))
    one.run(headers=headers, path="/ü\0", raw_path="/ü".encode(), query_string=b"")
    begin = one.request.begin
    assert (begin.client, begin.method, begin.uri) == ("192.0.2.7", "POST", "/ü")
    assert begin.host == "bücher.example"
    assert begin.user_agent.startswith(r"a\xff")


@pytest.mark.parametrize(("wanted", "given_"), [(True, "1"), (False, "")])
def test_the_cpu_time_is_recorded_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool, given_: str
) -> None:
    monkeypatch.setenv("STANDFAST_CPU_TIME", given_)
    one = Served(tmp_path, sending(START, LAST))
    one.run()
    assert (one.request.end.cpu_ns is not None) == wanted


def test_what_the_application_awaits_is_what_the_server_gives(tmp_path: Path) -> None:
    """A server's ``send`` and ``receive`` may give more than the specification asks for."""
    got: list[Any] = []

    async def app(scope: Message, receive: Receive, send: Callable[..., Any]) -> None:
        got.extend([await receive(), await send(START)])

    class Generous(Served):
        async def send(self, message: Message) -> Any:
            return "drained"

    Generous(tmp_path, app, [{"type": "http.request", "body": b"x"}]).run()
    assert got == [{"type": "http.request", "body": b"x"}, "drained"]


def test_a_task_that_outlives_its_request_keeps_nothing_of_it(tmp_path: Path) -> None:
    """Such as a pool of connections that the first request made: it keeps the request's context."""

    async def exchange() -> None:
        tasks = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            tasks.append(asyncio.create_task(asyncio.sleep(60)))
            await send(START)

        served = Served(tmp_path, app)
        await served.call()
        of_the_server = weakref.ref(served)
        del served
        gc.collect()
        assert of_the_server() is None
        assert not tasks[0].done()

    asyncio.run(exchange())
