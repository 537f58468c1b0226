"""The ways for a request to end other than with its response, under real servers."""

from __future__ import annotations

import http.client
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.servers.serving import AGENT, PATIENCE_S, Server, serving
from tests.recorded import Recorded, all_closed, read, read_until

GUNICORN = ["gunicorn", "-b", "127.0.0.1:{port}"]
GTHREAD = [*GUNICORN, "-k", "gthread", "--threads", "4"]
UVICORN = ["uvicorn", "--port", "{port}", "shop_asgi:app"]
HYPERCORN = ["hypercorn", "-b", "127.0.0.1:{port}", "shop_asgi:app"]


def begun(server: Server, count: int = 1) -> Recorded:
    """What is recorded as soon as ``count`` requests have begun."""
    recorded = read_until(server.journal, lambda recorded: len(recorded.requests) >= count)
    assert len(recorded.requests) == count
    return recorded


def deaths(recorded: Recorded) -> dict[int, int]:
    """How the workers died, by pid."""
    return {dead.pid: dead.code for dead in recorded.exits}


def test_a_request_that_gunicorn_times_out_is_aborted_with_the_stack_where_it_hung() -> None:
    with serving(*GUNICORN, "--timeout", "2", "shop_wsgi:app") as server:
        server.get("/sleep?60")
        recorded = read_until(server.journal, lambda recorded: bool(recorded.exits))
    request = recorded.one("/sleep")
    assert (request.end.aborted, request.end.status) == (True, None)
    assert ", in sleep\n    time.sleep(float(query))\n" in request.end.error
    assert request.end.error.endswith("\nSystemExit: 1\n")
    assert request.end.duration_ns >= 1e9
    assert list(deaths(recorded)) == [request.worker.pid]


def test_a_request_that_gunicorn_has_to_kill_stays_open() -> None:
    with serving(*GUNICORN, "--timeout", "2", "shop_wsgi:app") as server:
        server.get("/stuck?60")
        recorded = read_until(server.journal, lambda recorded: bool(recorded.exits))
    request = recorded.one("/stuck")
    assert request.ends == []
    assert deaths(recorded) == {request.worker.pid: -signal.SIGKILL}


def test_a_graceful_end_of_gunicorn_leaves_nothing_open() -> None:
    with serving(*GTHREAD, "shop_wsgi:app") as server, ThreadPoolExecutor() as clients:
        answers = [clients.submit(server.get, "/sleep?1") for _ in range(3)]
        worker = begun(server, 3).requests[0].worker
        assert server.stop() == 0
        assert [answer.result() for answer in answers] == [(200, b"slept")] * 3
        recorded = read(server.journal)
    assert [request.end.status for request in recorded.requests] == [200] * 3
    assert deaths(recorded) == {worker.pid: 0}


def test_all_that_was_in_flight_when_the_worker_was_killed_stays_open() -> None:
    with serving(*GTHREAD, "shop_wsgi:app") as server, ThreadPoolExecutor() as clients:
        assert server.get("/") == (200, b"plain")
        answers = [clients.submit(server.get, "/sleep?60") for _ in range(3)]
        worker = begun(server, 4).requests[0].worker
        os.kill(worker.pid, signal.SIGKILL)
        assert [answer.result() for answer in answers] == [(0, b"")] * 3
        recorded = read_until(server.journal, lambda recorded: bool(recorded.exits))
    open_ones = [request.begin.uri for request in recorded.requests if not request.closed]
    assert open_ones == ["/sleep?60"] * 3
    assert deaths(recorded) == {worker.pid: -signal.SIGKILL}


STREAMING = {
    "gunicorn": [*GUNICORN, "shop_wsgi:app"],
    "gunicorn-gthread": [*GTHREAD, "shop_wsgi:app"],
    "gunicorn-asgi": [*GUNICORN, "-k", "asgi", "shop_asgi:app"],
    "waitress": ["waitress-serve", "--listen", "127.0.0.1:{port}", "shop_wsgi:app"],
    "uvicorn": UVICORN,
    "hypercorn": HYPERCORN,
}


@pytest.mark.parametrize("command", STREAMING.values(), ids=STREAMING)
def test_a_client_that_leaves_in_the_middle_of_a_stream_closes_it(command: list[str]) -> None:
    with serving(*command) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        connection.request("GET", "/endless", headers={"User-Agent": AGENT})
        response = connection.getresponse()
        assert len(response.read(100_000)) == 100_000
        assert not read(server.journal).one("/endless").closed
        response.close()
        connection.close()
        recorded = read_until(server.journal, all_closed)
        end = recorded.one("/endless").end
        assert (end.status, end.error, end.aborted) == (200, "", False)
        assert end.sent is not None
        assert 100_000 <= end.sent < 1000 * 65536
        assert server.get("/") == (200, b"plain")


@pytest.mark.parametrize("command", [UVICORN, HYPERCORN], ids=["uvicorn", "hypercorn"])
def test_a_websocket_is_told_apart_and_closed_when_the_client_leaves(command: list[str]) -> None:
    with serving(*command) as server:
        address = f"ws://127.0.0.1:{server.port}/echo?token=hunter2"
        with connect(address, user_agent_header=AGENT) as socket:
            for word in ("one", "two"):
                socket.send(word)
                assert socket.recv(PATIENCE_S) == word
            request = read(server.journal).one("/echo")
            assert request.ends == []
        recorded = read_until(server.journal, all_closed)
    request = recorded.one("/echo")
    assert request.begin[4:8] == ("websocket", "127.0.0.1", "GET", "/echo?token=***")
    assert request.begin[8:12] == (f"127.0.0.1:{server.port}", "", AGENT, False)
    assert len(request.ends) == 1
    assert (request.end.status, request.end.error, request.end.cancelled) == (101, "", False)


@pytest.mark.parametrize("command", [UVICORN, HYPERCORN], ids=["uvicorn", "hypercorn"])
def test_a_websocket_that_the_application_rejects_has_status_403(command: list[str]) -> None:
    with serving(*command) as server:
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{server.port}/reject")
        recorded = read_until(server.journal, all_closed)
    assert recorded.one("/reject").begin.kind == "websocket"
    assert recorded.one("/reject").end.status == 403


def test_background_work_is_told_apart_from_the_request_that_left_it_behind() -> None:
    with serving(*UVICORN) as server:
        assert server.get("/background?0.5") == (200, b"accepted")
        recorded = read_until(server.journal, all_closed)
    (returned,) = recorded.one("/background").ends
    assert (returned.running, returned.status, returned.sent) == (False, 200, 8)
    # uvloop's clock counts in milliseconds.
    assert returned.background_ns >= 0.49e9 and returned.duration_ns < returned.background_ns


def test_a_worker_that_dies_in_background_work_leaves_it_running() -> None:
    with serving(*UVICORN) as server:
        assert server.get("/background-segv?0.3") == (200, b"accepted")
        assert server.process.wait(PATIENCE_S) == -signal.SIGSEGV
        recorded = read(server.journal)
    request = recorded.one("/background-segv")
    assert [(end.running, end.status) for end in request.ends] == [(True, 200)]
    assert " in background_segv\n" in recorded.faults[request.worker.pid]


def test_what_tore_a_request_out_stands_by_its_own_name_in_the_last_line() -> None:
    command = "gunicorn -b 127.0.0.1:{port} -k gevent --max-requests 3 --graceful-timeout 1"
    with (
        serving(*command.split(), "shop_wsgi:app") as server,
        ThreadPoolExecutor(1) as client,
    ):
        client.submit(server.get, "/sleep?20")
        read_until(server.journal, lambda recorded: len(recorded.requests) == 1)
        for _ in range(3):
            server.get("/")
        read_until(server.journal, lambda recorded: bool(recorded.one("/sleep").ends))
        (end,) = read(server.journal).one("/sleep").ends
        assert end.aborted
        assert re.match(r"(\w+\.)*GreenletExit\b", end.error.splitlines()[-1])
