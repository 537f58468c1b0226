"""The CPU time of a request is its own, or it is not known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import read
from tests.unit.record.asgi_server import START, Message, Receive, Send
from tests.unit.record.asgi_server import Served as Asgi
from tests.unit.record.wsgi_server import Served, answering

BURNED_NS = 30_000_000


@pytest.fixture(autouse=True)
def _with_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDFAST_CPU_TIME", "1")


def burn() -> None:
    until = time.thread_time_ns() + BURNED_NS
    while time.thread_time_ns() < until:
        pass


async def burning(scope: Message, receive: Receive, send: Send) -> None:
    await send(START)
    if scope["path"] == "/burn":
        burn()
    await asyncio.sleep(0.01)


def test_cpu_time_of_one_request_is_not_said_of_another_that_ran_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        await asyncio.gather(*[one.call(path=path) for path in ("/a", "/burn", "/b", "/c")])

    one = Asgi(tmp_path, burning)
    asyncio.run(main())
    assert [request.end.cpu_ns for request in read(tmp_path).requests] == [None] * 4


def test_a_request_that_is_alone_has_its_cpu_time(tmp_path: Path) -> None:
    one = Asgi(tmp_path, burning)
    one.run(path="/burn")
    one.run(path="/idle")
    burned, idle = [request.end.cpu_ns for request in read(tmp_path).requests]
    assert burned is not None and burned >= BURNED_NS
    assert idle is not None


def test_a_request_within_another_leaves_the_cpu_time_of_both_unknown(tmp_path: Path) -> None:
    def inner() -> Iterator[bytes]:
        Served(tmp_path, answering([b"x"]), RAW_URI="/inner").call()
        yield b"x"

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return inner()

    Served(tmp_path, app, RAW_URI="/outer").whole()
    Served(tmp_path, answering([b"x"]), RAW_URI="/after").call()
    known = {request.begin.uri: request.end.cpu_ns for request in read(tmp_path).requests}
    assert (known["/outer"], known["/inner"]) == (None, None)
    assert known["/after"] is not None
