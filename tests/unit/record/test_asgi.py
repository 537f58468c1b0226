"""The ASGI recorder closes every request and WebSocket as it ended, and passes all else through."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest

from standfast.journal.format import End
from standfast.record import asgi
from tests.recorded import read
from tests.unit.record.asgi_server import START, Message, Receive, Send, Served, make_scope


async def ok(scope: Message, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"three"})


def test_a_request_is_recorded_as_it_was_sent_and_answered(tmp_path: Path) -> None:
    one = Served(tmp_path, ok)
    one.run()
    begin = one.request.begin
    assert (begin.kind, begin.method, begin.uri) == (
        "http",
        "POST",
        "/pay%20ments?page=2&token=***",
    )
    assert (begin.client, begin.host) == ("192.0.2.7", "shop.example")
    assert (begin.forwarded_for, begin.user_agent) == ("198.51.100.7", "curl/8")
    (returned,) = one.request.ends
    assert (returned.running, returned.status, returned.sent) == (False, 201, 8)
    assert [message["type"] for message in one.sent] == [
        "http.response.start",
        "http.response.body",
        "http.response.body",
    ]


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1", b"192.0.2.2"], "192.0.2.1, 192.0.2.2"),
        ([b"192.0.2.1", b"", b"192.0.2.2"], "192.0.2.1, , 192.0.2.2"),
        ([b"192.0.2.1", b"192.0.2.2", b""], "192.0.2.1, 192.0.2.2, "),
    ],
)
def test_all_that_proxies_say_of_the_client_is_kept(
    tmp_path: Path, sent: list[bytes], recorded: str
) -> None:
    one = Served(tmp_path, ok)
    one.run(headers=[(b"x-forwarded-for", value) for value in sent])
    assert one.request.begin.forwarded_for == recorded


def test_an_event_stream_is_known_each_time_whatever_other_clients_accept(tmp_path: Path) -> None:
    accepts = [b"text/event-stream", b"*/*", b"text/html, text/event-stream;q=0.1"] * 2
    accepts += [b"x" * 300 + b"text/event-stream"]
    for number, accept in enumerate(accepts):
        one = Served(tmp_path / str(number), ok)
        one.run(headers=[(b"accept", accept)])
        assert one.request.begin.event_stream == (b"event-stream" in accept)
    for number in range(300):
        asgi._flag_of(b"text/x%d" % number)
    assert len(asgi._accepted) <= 256
    assert max(map(len, asgi._accepted)) <= 256


@pytest.mark.parametrize(
    ("scope", "uri"),
    [
        ({"raw_path": None}, "/pay%20ments?page=2&token=***"),
        ({"raw_path": b"", "query_string": b""}, "/pay%20ments"),
        ({"query_string": b"\xff=1"}, "/pay%20ments?\\xff=1"),
        ({"raw_path": b"http://me:pw@shop.example/", "query_string": b""}, "http://***@shop.example/"),
        ({"client": None, "method": "GET"}, "/pay%20ments?page=2&token=***"),
    ],
)  # fmt: skip
def test_the_uri_is_put_together_without_secrets(tmp_path: Path, scope: Message, uri: str) -> None:
    one = Served(tmp_path, ok)
    one.run(**scope)
    assert one.request.begin.uri == uri


def test_a_lifespan_and_unknown_scopes_pass_through_unrecorded(tmp_path: Path) -> None:
    seen = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append((scope["type"], send))

    one = Served(tmp_path, app)
    one.run(type="lifespan")
    one.run(type="something.new")
    assert [kind for kind, _ in seen] == ["lifespan", "something.new"]
    assert read(tmp_path).requests == []


def test_an_application_recorded_twice_is_recorded_once(tmp_path: Path) -> None:
    inner = Served(tmp_path, ok)
    outer = Served(tmp_path, inner.app)
    outer.run()
    assert len(outer.request.ends) == 1


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_exception_passes_through_and_its_stack_is_kept(tmp_path: Path, after: int) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        messages = (START, {"type": "http.response.body", "body": b"x", "more_body": True},
                    {"type": "http.response.body"})  # fmt: skip
        for message in messages[:after]:
            await send(message)
        raise ValueError("broken")

    one = Served(tmp_path, app)
    with pytest.raises(ValueError, match="broken"):
        one.run()
    end = one.request.end
    assert end.status == (201 if after else None)
    assert end.error.startswith("Traceback (most recent call last):\n")
    assert end.error.endswith("ValueError: broken\n")
    assert "standfast/record" not in end.error


def test_a_cancelled_request_is_closed_as_cancelled(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(one.call())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    one = Served(tmp_path, app)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert (one.request.end.cancelled, one.request.end.error) == (True, "")


def test_a_client_that_has_gone_is_the_applications_to_notice(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"

    one = Served(tmp_path, app)
    one.run()
    assert (one.request.end.status, one.request.end.error) == (None, "")


def test_what_tears_the_application_out_is_told_from_an_error(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise SystemExit(3)

    one = Served(tmp_path, app)
    with pytest.raises(SystemExit):
        one.run()
    assert one.request.end.aborted


def test_background_work_is_told_from_the_response(tmp_path: Path) -> None:
    seen: list[End] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        seen.extend(read(tmp_path).requests[0].ends)
        await asyncio.sleep(0.05)

    one = Served(tmp_path, app)
    one.run()
    (responded,), (returned,) = seen, one.request.ends
    assert (responded.running, responded.status, responded.sent) == (True, 201, 8)
    assert returned.duration_ns == responded.duration_ns
    assert returned.background_ns >= 40_000_000


@pytest.mark.parametrize(
    ("answer", "status"),
    [({"type": "websocket.accept"}, 101), ({"type": "websocket.close"}, 403)],
)
def test_a_websocket_is_told_from_a_request(tmp_path: Path, answer: Message, status: int) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(answer)
        if status == 101:
            await send({"type": "websocket.send", "text": "hello"})
            await send({"type": "websocket.close"})

    one = Served(tmp_path, app, [{"type": "websocket.connect"}])
    scope = make_scope(type="websocket")
    del scope["method"]
    asyncio.run(one.app(scope, one.receive, one.send))
    (end,) = one.request.ends
    assert (one.request.begin.kind, one.request.begin.method) == ("websocket", "GET")
    assert (end.status, end.running, end.error) == (status, False, "")


@pytest.mark.parametrize(
    "message",
    [{}, {"type": "http.response.body", "body": None}, {"type": "http.response.start"}, "no dict"],
)
def test_what_the_server_refuses_is_the_servers_to_refuse(tmp_path: Path, message: Any) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(message)

    one = Served(tmp_path, app)
    one.run()
    assert one.sent == [message]
    assert one.request.closed


@pytest.mark.parametrize("missing", ["headers", "path", "client", "query_string", "raw_path"])
def test_a_scope_that_lacks_something_is_served_nevertheless(tmp_path: Path, missing: str) -> None:
    one = Served(tmp_path, ok)
    scope = make_scope()
    del scope[missing]
    asyncio.run(one.app(scope, one.receive, one.send))
    assert len(one.sent) == 3


def test_a_status_that_no_server_would_send_closes_the_request_without_it(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": "fine"})

    one = Served(tmp_path, app)
    one.run()
    assert (one.request.end.status, one.sent[0]["status"]) == (None, "fine")


def test_logged_errors_go_to_the_request_that_logged_them(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        name = scope["path"]
        await asyncio.sleep(0.01)

        def in_a_thread() -> None:
            logging.getLogger("shop").error("in a thread of %s", name)

        async def in_a_task() -> None:
            logging.getLogger("shop").error("in a task of %s", name)

        await asyncio.gather(asyncio.to_thread(in_a_thread), in_a_task())

    async def main() -> None:
        await asyncio.gather(*[one.call(path=f"/{n}", raw_path=b"/%d" % n) for n in range(5)])

    one = Served(tmp_path, app)
    asyncio.run(main())
    found = {request.begin.uri[:2]: request.end.error for request in read(tmp_path).requests}
    assert {uri: sorted(error.splitlines()) for uri, error in found.items()} == {
        f"/{n}": [f"shop: in a task of /{n}", f"shop: in a thread of /{n}"] for n in range(5)
    }


def test_nothing_of_a_request_is_held_once_it_is_over(tmp_path: Path) -> None:
    class Payload:
        pass

    async def main() -> None:
        payload = Payload()
        gone = weakref.ref(payload)
        await asyncio.create_task(one.call(payload=payload))
        del payload
        await asyncio.sleep(0)
        assert gone() is None, "a circle of references holds the scope"

    one = Served(tmp_path, ok)
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_a_websocket_refused_with_a_response_has_that_responses_status(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"who?"})

    one = Served(tmp_path, app)
    one.run(type="websocket")
    assert (one.request.end.status, one.request.end.sent) == (401, 4)
