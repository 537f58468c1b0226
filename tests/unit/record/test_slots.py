"""Where many requests share a thread, its stack says which one is running."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from standfast.asgi import Recorder
from standfast.journal.format import REQUEST_SLOTS, SLOT_PREFIX
from tests.interpreters import find_interpreter
from tests.recorded import read
from tests.unit.record.asgi_server import START, Message, Receive, Send, Served
from tests.unit.record.wsgi_server import end_of


def slots_on_the_stack() -> list[str]:
    return [frame.name for frame in traceback.extract_stack() if frame.name.startswith(SLOT_PREFIX)]


def test_the_stack_of_an_asgi_application_names_its_request(tmp_path: Path) -> None:
    seen: dict[str, list[str]] = {}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.01)  # the others run meanwhile
        seen[scope["path"]] = slots_on_the_stack()

    async def main() -> None:
        await asyncio.gather(*[one.call(path=f"/{n}", raw_path=b"/%d" % n) for n in range(5)])

    one = Served(tmp_path, app)
    asyncio.run(main())
    for request in read(tmp_path).requests:
        slot = f"{SLOT_PREFIX}{request.begin.seq % REQUEST_SLOTS}"
        assert seen[request.begin.uri.partition("?")[0]] == [slot]


def test_requests_at_the_same_time_have_different_slots_and_give_them_back(tmp_path: Path) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.01)
        if scope["path"] == "/3":
            raise ValueError("broken")

    async def main() -> None:
        for _ in range(3):
            calls = [one.call(path=f"/{n}", raw_path=b"/%d" % n) for n in range(10)]
            await asyncio.gather(*calls, return_exceptions=True)

    one = Served(tmp_path, app)
    asyncio.run(main())
    slots = [request.begin.seq % REQUEST_SLOTS for request in read(tmp_path).requests]
    assert len(slots) == 30
    assert all(len(set(slots[start : start + 10])) == 10 for start in (0, 10, 20))
    assert len(set(slots)) == 10


GREEN = """
import gevent.monkey; gevent.monkey.patch_all()
import faulthandler, gevent, os, sys, tempfile
from standfast.wsgi import Recorder
seen = []
def look():
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=False)
        file.seek(0)
        seen.append([line.split()[-1] for line in file if "standfast_request_" in line])
class Body:
    def __iter__(self): look(); return self
    def __next__(self): look(); raise StopIteration
    def close(self): look()
def app(environ, start_response):
    start_response("200 OK", [])
    gevent.sleep(0.01)
    look()
    return Body()
def serve(number):
    body = recorder({"REQUEST_METHOD": "GET", "RAW_URI": f"/{number}"}, lambda *_: None)
    list(body), body.close()
recorder = Recorder(app, name="shop", journal=sys.argv[1])
gevent.joinall([gevent.spawn(serve, number) for number in range(3)])
for one in seen: print(*one)
"""


def test_the_stack_of_a_greenlet_names_its_request(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREEN, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    requests = read(tmp_path).requests
    assert len({request.begin.thread for request in requests}) == 1, "the system's thread"
    slots = [request.begin.seq % REQUEST_SLOTS for request in requests]
    expected = [f"{SLOT_PREFIX}{slot}" for slot in slots for _ in range(4)]
    assert sorted(done.stdout.split()) == sorted(expected)


def test_an_ordinary_thread_needs_no_slot(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    end_of(tmp_path, lambda: seen.append(slots_on_the_stack()))
    assert seen == [[]]


DETECTED = """
import asyncio, inspect, sys
from standfast.asgi import Recorder
async def app(scope, receive, send): return 7
recorder = Recorder(app, name="shop", journal=sys.argv[1])
assert inspect.iscoroutinefunction(recorder.__call__)
assert asyncio.iscoroutinefunction(recorder.__call__)
scope = {"type": "http", "path": "/", "headers": []}
assert asyncio.run(recorder(dict(scope), None, None)) == 7
assert asyncio.run(recorder.__call__(dict(scope), None, None)) == 7
assert inspect.iscoroutine(unawaited := recorder(dict(scope), None, None))
unawaited.close()
"""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_servers_know_the_recorder_for_an_asgi_3_application(tmp_path: Path, version: str) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    source = Path(inspect.getfile(Recorder)).parents[2]
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", DETECTED, str(tmp_path)],
        env={"PYTHONPATH": str(source)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [request.closed for request in read(tmp_path).requests] == [True, True]
