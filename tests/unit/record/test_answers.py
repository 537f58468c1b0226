"""That a response is complete is noted at once, whatever the application's code does after it."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from standfast.journal.format import ANSWER_PLACES, END
from tests.recorded import read
from tests.unit.journal.segments import read_folder
from tests.unit.record.asgi_server import START, Message, Receive, Send, Served

LAST = {"type": "http.response.body", "body": b"done"}


def ends_in_records(journal: Path) -> int:
    return sum(kind == END for _, records in read_folder(journal) for kind, _, _ in records)


def test_of_any_number_of_requests_at_a_time_it_is_noted(tmp_path: Path) -> None:
    most = ANSWER_PLACES + 5

    async def main() -> None:
        go_on = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(START)
            await send(LAST)
            await go_on.wait()

        one = Served(tmp_path, app)
        tasks = [asyncio.ensure_future(one.call()) for _ in range(most)]
        while len(one.sent) < 2 * most:
            await asyncio.sleep(0)
        for request in read(tmp_path).requests:
            (end,) = request.ends
            assert (end.running, end.status, end.sent) == (True, 201, 4)
        go_on.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    requests = read(tmp_path).requests
    assert len(requests) == most
    for request in requests:
        assert (request.end.status, request.end.sent) == (201, 4)
        assert request.end.duration_ns > 0 and request.end.background_ns > 0


def test_an_ordinary_request_has_one_end_record(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(LAST)

    one = Served(tmp_path, app)
    for _ in range(3):
        one.run()
    assert ends_in_records(tmp_path) == 3


@pytest.mark.parametrize("what", ["error", "cpu_time"])
def test_what_a_place_has_no_room_for_is_in_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "cpu_time":
        monkeypatch.setenv("STANDFAST_CPU_TIME", "1")
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        if what == "error":
            logging.getLogger("shop").error("no stock")
        await send(LAST)
        (end,) = read(tmp_path).requests[0].ends
        seen.append({"running": end.running, "error": end.error, "cpu": end.cpu_ns})

    Served(tmp_path, app).run()
    (answered,) = seen
    assert answered["running"]
    if what == "error":
        assert (answered["error"], answered["cpu"]) == ("shop: no stock\n", None)
    else:
        assert answered["cpu"] > 0
    assert ends_in_records(tmp_path) == 2


def test_a_child_that_answers_for_its_parent_leaves_the_parents_journal_alone(
    tmp_path: Path,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        pid = os.fork()
        if pid == 0:
            try:
                await send(LAST)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert read(tmp_path).requests[0].ends == []
        await send(LAST)

    one = Served(tmp_path, app)
    one.run()
    assert one.request.end.status == 201
