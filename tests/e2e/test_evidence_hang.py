"""Real workers hang, nobody ends them, and the store holds that they hang and where they stand."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.sync.client import connect

from standfast.diagnose.verdict import verdicts
from standfast.store.tables import evidence, incident, request, worker
from tests.e2e.servers.serving import PATIENCE_S, UWSGI, serving
from tests.e2e.watched import until, watched
from tests.tools import need
from tests.unit.watch.journals import House

GTHREAD = ["gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "4"]
GTHREAD += ["--timeout", "300", "hanging:app"]
UWSGI_SERVER = [UWSGI, "--http-socket", "127.0.0.1:{port}", "--master", "--die-on-term"]
UWSGI_APP = ["--plugin", "python3", "--wsgi-file", "hanging.py", "--callable", "app"]
UWSGI_APP += ["--enable-threads", "--need-app"]
HANG_S = 1.5


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    """Clients of requests that do not end before their server does."""
    pool = ThreadPoolExecutor(16)
    yield pool
    pool.shutdown(wait=False, cancel_futures=True)


def watch_for(house: House, seconds: float) -> None:
    """Watches for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        house.drain()
        time.sleep(0.02)


def of(house: House, kind: str) -> list[dict[str, Any]]:
    """The data of all facts of a kind, in the order in which they were told."""
    return [json.loads(row.data) for row in house.rows(evidence, kind=kind)]


def name(house: House, uri: str) -> str:
    """What reports call the request of this URI."""
    kept = house.row(request, uri=uri)
    return f"{house.row(worker, id=kept.worker_id).uid}-{kept.seq}"


def frames(text: str, function: str) -> int:
    """How often a function stands in the text of a stack."""
    return len(re.findall(rf"^    {function} \(.*$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("uri", "function"),
    [("/spin?60", "spin"), ("/sleep?60", "sleep")],
    ids=["loop in Python", "sleep"],
)
def test_a_request_that_does_not_end_is_an_incident_whose_stack_names_the_function(
    clients: ThreadPoolExecutor, uri: str, function: str
) -> None:
    with serving(*GTHREAD) as server, watched(server, hang_s=HANG_S) as house:
        clients.submit(server.get, uri)
        until(house, lambda: of(house, "stack"))
        told, kept = house.row(incident), house.row(request, uri=uri)
        assert (told.kind, told.worker_id, kept.incident_id) == ("hang", kept.worker_id, told.id)
        assert kept.outcome == "open"
        (hang,) = of(house, "hang")
        assert hang["request_id"] == name(house, uri)
        assert HANG_S <= hang["age_s"] < HANG_S + 10
        stack = house.row(evidence, kind="stack")
        data = json.loads(stack.data)
        assert (data["request_ids"], data["thread"]) == ([name(house, uri)], kept.thread)
        assert (stack.source, frames(stack.text, function)) == ("py-spy", 1)
        (first, *_) = data["threads"]
        assert first["thread"] == kept.thread
        assert function in [call for call, _, _ in first["frames"][:2]]
        assert house.row(worker, id=told.worker_id).died_ns is None
        watch_for(house, 2.5)
        assert len(of(house, "hang")) == len(of(house, "stack")) == len(house.rows(incident)) == 1
        house.restart()
        watch_for(house, 1.5)
        assert len(of(house, "hang")) == len(of(house, "stack")) == len(house.rows(incident)) == 1


def test_c_code_that_holds_the_interpreter_is_told_too_and_not_disturbed() -> None:
    with (
        serving(*GTHREAD) as server,
        watched(server, hang_s=HANG_S) as house,
        ThreadPoolExecutor() as clients,
    ):
        answer = clients.submit(server.get, "/hold?5")
        until(house, lambda: of(house, "hang"))
        (hang,) = of(house, "hang")
        assert hang["request_id"] == name(house, "/hold?5")
        assert house.row(incident).kind == "hang"
        until(house, lambda: len(of(house, "hang")) == 2)
        assert answer.result() == (200, b"done")
        assert house.row(worker, id=house.row(incident).worker_id).died_ns is None


def test_both_sides_of_a_deadlock_are_told_and_the_stack_shows_where_they_wait(
    clients: ThreadPoolExecutor,
) -> None:
    with serving(*GTHREAD) as server, watched(server, hang_s=HANG_S) as house:
        clients.submit(server.get, "/deadlock?a")
        clients.submit(server.get, "/deadlock?b")
        until(house, lambda: len(of(house, "hang")) == 2 and of(house, "stack"))
        both = {name(house, "/deadlock?a"), name(house, "/deadlock?b")}
        assert {data["request_id"] for data in of(house, "hang")} == both
        assert house.row(incident).kind == "hang"
        text = house.rows(evidence, kind="stack")[-1].text
        assert frames(text, "wait_for") == frames(text, "deadlock") == 2
        # Others are served all the while.
        assert server.get("/")[0] == 200


def test_a_worker_that_hangs_again_has_its_stack_taken_again(clients: ThreadPoolExecutor) -> None:
    with serving(*GTHREAD) as server, watched(server, hang_s=HANG_S) as house:
        clients.submit(server.get, "/sleep?60")
        until(house, lambda: len(of(house, "stack")) == 1)
        clients.submit(server.get, "/spin?60")
        until(house, lambda: len(of(house, "stack")) == 2)
        first, second = house.rows(evidence, kind="stack")
        assert (frames(first.text, "spin"), frames(second.text, "spin")) == (0, 1)
        assert len(house.rows(incident)) == 1
        assert {row.incident_id for row in house.rows(request)} == {house.row(incident).id}


def test_a_request_that_goes_on_leaves_its_incident_and_the_word_that_it_did() -> None:
    with (
        serving(*GTHREAD) as server,
        watched(server, hang_s=HANG_S) as house,
        ThreadPoolExecutor() as clients,
    ):
        answer = clients.submit(server.get, "/sleep?4")
        until(house, lambda: of(house, "stack"))
        until(house, lambda: house.rows(request, outcome="slow"))
        until(house, lambda: len(of(house, "hang")) == 2)
        assert answer.result() == (200, b"done")
        over = of(house, "hang")[1]
        assert over["over"] is True
        assert 4 <= over["age_s"] < 8
        told = house.row(incident)
        assert (told.kind, house.row(request).incident_id) == ("hang", told.id)
        watch_for(house, 1.5)
        assert len(of(house, "hang")) == 2
        pid = house.row(worker, id=told.worker_id).pid
        os.kill(pid, signal.SIGKILL)
        until(house, lambda: house.row(incident).kind == "death")
        assert house.row(request).incident_id is None, "it was not in flight when the worker died"


def test_a_hang_that_somebody_ends_becomes_a_death_with_all_that_was_seen(
    clients: ThreadPoolExecutor,
) -> None:
    with serving(*GTHREAD) as server, watched(server, hang_s=HANG_S) as house:
        clients.submit(server.get, "/spin?60")
        until(house, lambda: of(house, "stack"))
        hang = house.row(incident)
        stuck = house.row(worker, id=hang.worker_id)
        os.kill(stuck.pid, signal.SIGKILL)
        until(house, lambda: house.row(incident).kind == "death")
        until(house, lambda: of(house, "exit"))
        death = house.row(incident)
        assert (death.id, death.worker_id) == (hang.id, hang.worker_id)
        assert death.died_ns > hang.died_ns
        kept = house.row(request)
        assert (kept.outcome, kept.incident_id) == ("unfinished", death.id)
        kinds = {row.kind for row in house.rows(evidence, worker_id=stuck.id)}
        assert kinds >= {"hang", "stack", "exit", "curve"}
        left = [path.name for path in server.journal.glob("*/*") if stuck.uid in path.name]
        assert left == [], "its files have been deleted, the stacks as well"
        assert house.warnings == []


def test_a_websocket_and_work_after_the_response_are_no_hangs() -> None:
    with (
        serving("uvicorn", "--port", "{port}", "shop_asgi:app") as server,
        watched(server, hang_s=HANG_S) as house,
        connect(f"ws://127.0.0.1:{server.port}/echo") as socket,
    ):
        assert server.get("/background?60")[0] == 200
        until(house, lambda: len(house.rows(request, outcome="open")) == 2)
        watch_for(house, HANG_S + 2.5)
        socket.send("hello")
        assert socket.recv(PATIENCE_S) == "hello"
        assert len(house.rows(request, outcome="open")) == 2
        assert (house.rows(incident), of(house, "hang"), of(house, "stack")) == ([], [], [])


def test_the_watcher_disturbs_no_call_that_blocks(clients: ThreadPoolExecutor) -> None:
    """In the main thread, where a signal would end each of them early."""
    command = ["gunicorn", "-b", "127.0.0.1:{port}", "-w", "3", "--timeout", "0", "hanging:app"]
    bare = {
        "/sleep_in_c?8": b"0",
        "/poll_in_c?8": b"0 Success",
        "/receive_in_c?8": b"-1 Resource temporarily unavailable",
    }
    with serving(*command) as server, watched(server, hang_s=1.0) as house:
        answers = {uri: clients.submit(server.get, uri) for uri in bare}
        until(house, lambda: len(of(house, "stack")) == 3)
        until(house, lambda: all(answer.done() for answer in answers.values()))
        assert {uri: answer.result() for uri, answer in answers.items()} == {
            uri: (200, said) for uri, said in bare.items()
        }
        text = "".join(row.text for row in house.rows(evidence, kind="stack"))
        for function in ("sleep_in_c", "poll_in_c", "receive_in_c"):
            assert frames(text, function) == 1


def test_a_stream_of_events_is_no_hang_and_a_coroutine_that_waits_for_ever_is(
    clients: ThreadPoolExecutor,
) -> None:
    with (
        serving("uvicorn", "--port", "{port}", "hanging_asgi:app") as server,
        watched(server, hang_s=HANG_S) as house,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as stream,
    ):
        stream.sendall(
            b"GET /events HTTP/1.1\r\nHost: shop.test\r\nAccept: text/event-stream\r\n\r\n"
        )
        assert stream.recv(1000).startswith(b"HTTP/1.1 200")
        until(house, lambda: house.rows(request, uri="/events"))
        clients.submit(server.get, "/for_ever")
        until(house, lambda: of(house, "loop_wait"))
        (waits,) = of(house, "loop_wait")
        assert (waits["loop"] in ("asyncio", "uvloop"), waits["request_ids"]) == (
            True,
            [name(house, "/for_ever")],
        )
        assert [data["request_id"] for data in of(house, "hang")] == waits["request_ids"]
        assert house.row(request, uri="/events").incident_id is None


def test_an_upload_that_stops_half_way_in_a_loop_accuses_nobody() -> None:
    head = b"POST /read_body HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100\r\n\r\nhalf"
    with (
        serving("uvicorn", "--port", "{port}", "faulty_asgi:app") as server,
        watched(server, hang_s=HANG_S) as house,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as client,
    ):
        client.sendall(head)
        until(house, lambda: of(house, "loop_wait"))
        (verdict,) = verdicts(house.engine, [house.row(incident).id]).values()
        assert (verdict.cause.name, verdict.culprit) == ("undetermined", None)


def test_a_websocket_over_wsgi_is_no_hang(clients: ThreadPoolExecutor) -> None:
    command = ["gunicorn", "-b", "127.0.0.1:{port}", "--threads", "8", "hanging_socketio:app"]
    with serving(*command) as server, watched(server, hang_s=HANG_S) as house:
        uri = "/socket.io/?EIO=4&transport=websocket"
        with connect(f"ws://127.0.0.1:{server.port}{uri}") as opened:
            assert str(opened.recv(PATIENCE_S)).startswith("0{")
            until(house, lambda: house.rows(request, uri=uri))
            clients.submit(server.get, "/hang")
            until(house, lambda: of(house, "hang"))
            assert [data["request_id"] for data in of(house, "hang")] == [name(house, "/hang")]
            assert house.row(request, uri=uri).kind == "websocket"
            assert house.row(request, uri=uri).incident_id is None


UPLOADED_TO = {
    "gunicorn": (GTHREAD, "gunicorn"),
    "uWSGI": ([*UWSGI_SERVER, *UWSGI_APP], "the server"),
}


@pytest.mark.parametrize("server_name", UPLOADED_TO)
def test_a_slow_upload_is_told_to_wait_for_its_client(server_name: str) -> None:
    if server_name == "uWSGI":
        need(UWSGI)
    command, named = UPLOADED_TO[server_name]
    with (
        serving(*command) as server,
        watched(server, hang_s=HANG_S) as house,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as client,
    ):
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\nhalf")
        until(house, lambda: of(house, "client_wait"))
        (waits,) = of(house, "client_wait")
        assert (waits["part"], waits["server"]) == ("body", named)
        assert waits["request_id"] == name(house, "/upload")
        client.sendall(b" more")
        assert client.recv(1000).startswith(b"HTTP/1.")


def test_a_silent_connection_that_was_timed_out_is_told_to_wait_for_its_client() -> None:
    command = ["gunicorn", "-b", "127.0.0.1:{port}", "--timeout", "2", "hanging:app"]
    with serving(*command) as server, watched(server) as house:
        assert server.get("/")[0] == 200
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as silent:
            silent.sendall(b"GET / HT")
            told = {"kind": "client_wait", "source": "faulthandler"}
            until(house, lambda: house.rows(evidence, **told))
        waits = json.loads(house.row(evidence, **told).data)
        assert (waits["part"], waits["server"]) == ("head", "gunicorn")
        assert "request_id" not in waits


def test_each_of_several_forked_workers_has_a_stack_of_its_own(
    clients: ThreadPoolExecutor,
) -> None:
    with (
        serving(*GTHREAD, "--workers", "2", "--preload") as server,
        watched(server, hang_s=HANG_S) as house,
    ):
        clients.submit(server.get, "/spin?60")
        until(house, lambda: of(house, "stack"))
        busy = house.row(incident).worker_id
        for _ in range(50):
            clients.submit(server.get, "/sleep?60")
            time.sleep(0.2)
            house.drain()
            if {row.worker_id for row in house.rows(request, outcome="open")} > {busy}:
                break
        until(house, lambda: len({row.worker_id for row in house.rows(evidence, kind="stack")}) > 1)
        for row in house.rows(evidence, kind="stack"):
            assert frames(row.text, "spin") == (row.worker_id == busy)


def test_a_uwsgi_worker_tells_its_stack(clients: ThreadPoolExecutor) -> None:
    need(UWSGI)
    with serving(*UWSGI_SERVER, *UWSGI_APP) as server, watched(server, hang_s=HANG_S) as house:
        clients.submit(server.get, "/spin?60")
        until(house, lambda: of(house, "stack"))
        assert frames(house.row(evidence, kind="stack").text, "spin") == 1
        assert house.row(incident).kind == "hang"
