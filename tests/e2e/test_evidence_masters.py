"""Real masters end their workers, and the store holds why, in the master's own words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from standfast.diagnose.verdict import Verdict, verdicts
from standfast.store.tables import evidence, incident, request, worker
from standfast.watch import Settings
from tests.e2e.servers.serving import (
    APP,
    BIN,
    PATIENCE_S,
    UWSGI,
    environment,
    serving,
)
from tests.e2e.watched import serving_pid, starting, until, watched
from tests.tools import need
from tests.unit.watch.journals import House, wait_until

GUNICORN = ["gunicorn", "-b", "127.0.0.1:{port}"]
SETTINGS = Settings(poll_s=0.05, keep_ordinary_s=1e9)


def facts(house: House, pid: int, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    """What is known of the worker of that pid, in the order of time."""
    (row,) = house.rows(worker, pid=pid)
    rows = sorted(house.rows(evidence, worker_id=row.id), key=lambda row: row.at_ns)
    return [(row.kind, json.loads(row.data)) for row in rows if row.kind in kinds]


@pytest.mark.parametrize(
    ("uri", "signals"), [("/sleep?60", ["SIGABRT"]), ("/stuck?60", ["SIGABRT", "SIGKILL"])]
)
def test_a_worker_that_gunicorn_times_out_has_the_time_out_as_evidence(
    uri: str, signals: list[str]
) -> None:
    with (
        serving(*GUNICORN, "--timeout", "2", "shop_wsgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, uri)
        pid = serving_pid(house, uri)
        until(house, lambda: house.rows(incident))
        until(house, lambda: facts(house, pid, "exit"))
        found = facts(house, pid, "timeout", "master_signal")
        assert found == [("timeout", {"signal": name, "timeout_s": 2.0}) for name in signals]
        (fact,) = house.rows(evidence, kind="timeout")[:1]
        assert fact.text == (
            f"the master (pid {server.process.pid}) sent SIGABRT to its worker {pid}, which had"
            " given no sign of life for longer than it may (2 s)"
        )


def test_a_worker_that_is_killed_from_outside_has_no_word_of_its_master() -> None:
    with (
        serving(*GUNICORN, "shop_wsgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        os.kill(pid, signal.SIGKILL)
        until(house, lambda: house.rows(evidence, kind="exit", source="master"))
        assert facts(house, pid, "exit")[0] == ("exit", {"signal": "SIGKILL"})
        assert facts(house, pid, "timeout", "master_signal", "start_failure") == []
        until(house, lambda: house.rows(incident))
        assert house.row(incident).worker_id == house.row(worker, pid=pid).id


def test_a_worker_that_lost_its_master_has_the_end_of_its_master_as_evidence() -> None:
    with (
        serving(*GUNICORN, "shop_wsgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        look_s = time.monotonic() + 1.0
        until(house, lambda: time.monotonic() > look_s)
        server.process.kill()
        server.process.wait()
        os.kill(pid, signal.SIGKILL)
        until(house, lambda: facts(house, pid, "parent_exit"))
        ((_, data),) = facts(house, pid, "parent_exit")[:1]
        assert data.pop("before_s") < 10
        assert data == {"parent_pid": server.process.pid, "signal": "SIGKILL"}


def test_a_request_cut_off_by_a_stop_shows_that_gunicorn_was_stopping() -> None:
    with (
        serving(*GUNICORN, "--graceful-timeout", "1", "shop_wsgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        assert server.stop() == 0
        until(house, lambda: house.rows(incident))
        assert facts(house, pid, "timeout", "master_signal") == [
            ("master_signal", {"signal": "SIGTERM", "reason": "stop"}),
            ("master_signal", {"signal": "SIGKILL", "reason": "stop", "timeout_s": 1.0}),
        ]
        assert house.row(request).outcome == "unfinished"


@pytest.mark.parametrize(
    ("sig", "reason", "options"), [("SIGHUP", "reload", []), ("SIGTTOU", "scale", ["-w", "2"])]
)
def test_workers_that_gunicorn_lets_go_in_peace_are_no_incident(
    sig: str, reason: str, options: list[str]
) -> None:
    with (
        serving(*GUNICORN, *options, "shop_wsgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        answers = [clients.submit(server.get, "/sleep?2.5") for _ in range(len(options) or 1)]
        until(house, lambda: len(house.rows(request)) == len(answers))
        server.process.send_signal(getattr(signal, sig))
        until(house, lambda: house.rows(evidence, kind="master_signal"))
        assert [answer.result() for answer in answers] == [(200, b"slept")] * len(answers)
        until(house, lambda: house.rows(evidence, kind="exit", source="master"))
        (told,) = house.rows(evidence, kind="master_signal")
        assert json.loads(told.data) == {"signal": "SIGTERM", "reason": reason}
        assert house.rows(incident) == []


ANY_PORT = "127.0.0.1:0"


def test_an_application_that_cannot_be_loaded_is_one_incident_a_worker(tmp_path: Path) -> None:
    with starting(tmp_path, "gunicorn", "-b", ANY_PORT, "broken:app") as (house, _):
        until(house, lambda: house.rows(evidence, kind="start_failure"))
        (told,) = house.rows(evidence, kind="start_failure")
        data = json.loads(told.data)
        assert data["exit_code"] == 3
        assert 0 < data["age_s"] < PATIENCE_S
        row = house.row(worker, id=told.worker_id)
        assert ("exit", {"exit_code": 3}) in facts(house, row.pid, "exit")
        assert facts(house, row.pid, "timeout", "master_signal") == []
        until(house, lambda: list((house.folder / "shop").iterdir()) == [])
        assert len(house.rows(incident, worker_id=row.id)) == 1
        assert len(house.rows(evidence, kind="start_failure")) == 1


def test_a_worker_that_is_killed_while_it_loads_is_an_incident(tmp_path: Path) -> None:
    command = ["gunicorn", "-b", ANY_PORT, "broken:app"]
    with starting(tmp_path, *command, SHOP_LOADS_S="60") as (house, master):
        proc = Path(f"/proc/{master.pid}")
        children = proc / "task" / str(master.pid) / "children"

        # Until then its child is one of ``standfast run``, which tells when no server is found.
        # And before that, it is not even ``standfast run``.
        def is_gunicorn() -> bool:
            words = (proc / "cmdline").read_bytes()
            return b"broken:app" in words and b"--journal" not in words

        wait_until(is_gunicorn, PATIENCE_S)
        wait_until(lambda: children.read_text().split(), PATIENCE_S)
        (pid,) = map(int, children.read_text().split())
        os.kill(pid, signal.SIGKILL)
        until(house, lambda: house.rows(incident))
        assert house.row(incident).worker_id == house.row(worker, pid=pid).id
        assert ("exit", {"signal": "SIGKILL"}) in facts(house, pid, "exit")
        assert len(facts(house, pid, "start_failure")) == 1
        assert facts(house, pid, "timeout", "master_signal") == []


def test_gunicorns_log_tells_what_its_master_did(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    command = [*GUNICORN, "--timeout", "2", "--error-logfile", str(log), "shop_wsgi:app"]
    with (
        serving(*command) as server,
        watched(server, server_logs=(str(log),)) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/stuck?60")
        pid = serving_pid(house, "/stuck?60")
        until(house, lambda: house.rows(evidence, kind="exit", source="server log"))
        rows = house.rows(evidence, source="server log")
        assert [(row.kind, row.text.partition("] [CRITICAL] ")[2]) for row in rows][:1] == [
            ("timeout", f"WORKER TIMEOUT (pid:{pid})")
        ]
        assert rows[1].text.endswith(f"Worker (pid:{pid}) was sent SIGKILL! Perhaps out of memory?")
        assert json.loads(rows[1].data) == {"signal": "SIGKILL", "log": str(log)}
        assert {row.worker_id for row in rows} == {house.row(worker, pid=pid).id}


def test_gunicorns_log_tells_why_an_application_cannot_be_loaded(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    command = ["gunicorn", "-b", ANY_PORT, "--error-logfile", str(log), "broken:app"]
    with starting(tmp_path, *command) as (house, _):
        house.settings = replace(SETTINGS, server_logs=(str(log),))
        house.restart()
        until(house, lambda: house.rows(evidence, kind="log"))
        (told,) = house.rows(evidence, kind="log")
        assert "\nTraceback (most recent call last):\n" in told.text
        assert told.text.endswith("\nRuntimeError: the shop has no stock list")
        (failure,) = house.rows(evidence, kind="start_failure")
        assert told.worker_id == failure.worker_id


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    own = ["--journal", str(tmp_path), "--store", str(tmp_path / "store.db")]
    done = subprocess.run(
        [BIN / "standfast", "watch", "--once", *own],
        env=environment({"STANDFAST_SERVER_LOGS": "/nowhere/\x1b[2J.log"}),
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert "server_logs: '/nowhere/\\x1b[2J.log' cannot be read as this user" in done.stderr
    assert done.returncode == 0


def test_uwsgis_log_tells_that_it_timed_a_worker_out() -> None:
    need(UWSGI)
    command = [UWSGI, "--plugin", "python3", "--http-socket", "127.0.0.1:{port}", "--master"]
    command += ["--die-on-term", "--harakiri", "2", "--wsgi-file", "shop_wsgi.py"]
    with (
        serving(*command, "--callable", "app") as server,
        watched(server, server_logs=(str(server.log),)) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        until(house, lambda: house.rows(evidence, kind="exit", source="server log"))
        (told,) = house.rows(evidence, kind="timeout")
        assert f"*** HARAKIRI ON WORKER 1 (pid: {pid}, try: 1) ***" in told.text
        assert "GET /sleep?60 since " in told.text
        (ended,) = house.rows(evidence, kind="exit", source="server log")
        assert ended.text.startswith(f"DAMN ! worker 1 (pid: {pid}) died, killed by signal 9")
        assert json.loads(ended.data)["signal"] == "SIGKILL"
        assert house.row(incident).worker_id == told.worker_id == ended.worker_id


def test_a_worker_that_does_not_answer_uvicorns_ping_has_that_as_evidence() -> None:
    command = ["uvicorn", "--port", "{port}", "--workers", "2"]
    with (
        # Long enough for a worker to start on a busy machine.
        serving(*command, "--timeout-worker-healthcheck", "8", "shop_asgi:app") as server,
        watched(server) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        os.kill(pid, signal.SIGSTOP)
        until(house, lambda: house.rows(evidence, kind="exit", source="master"))
        assert facts(house, pid, "timeout", "master_signal") == [
            ("timeout", {"signal": "SIGKILL", "timeout_s": 8.0})
        ]
        until(house, lambda: house.rows(incident))
        assert house.row(incident).worker_id == house.row(worker, pid=pid).id


@pytest.mark.parametrize(("sig", "reason"), [("SIGHUP", "reload"), ("SIGTERM", "stop")])
def test_uvicorn_says_why_it_lets_its_workers_go(sig: str, reason: str) -> None:
    command = ["uvicorn", "--port", "{port}", "--workers", "2", "shop_asgi:app"]
    command += ["--timeout-worker-healthcheck", "30"]
    with serving(*command) as server, watched(server) as house:
        assert server.get("/")[0] == 200
        until(house, lambda: house.rows(worker))
        server.process.send_signal(getattr(signal, sig))
        until(house, lambda: house.rows(evidence, kind="exit", source="master"))
        (told,) = house.rows(evidence, kind="master_signal")
        assert json.loads(told.data) == {"signal": "SIGTERM", "reason": reason}
        assert house.rows(incident) == []


def killed_after_a_stop(
    *command: str, by_hand: bool = False, log: bool = False
) -> tuple[list[tuple[str, dict[str, Any]]], Verdict]:
    """What is known and said of a server that is told to stop, does not, and is killed."""
    with contextlib.ExitStack() as stack:
        variables = {}
        if by_hand:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="standfast-")))
            variables = {"STANDFAST_APP": APP, "STANDFAST_JOURNAL": str(folder / "journal")}
        server = stack.enter_context(
            serving(*command, variables=variables, recorded=not by_hand),
        )
        if by_hand:
            server = replace(server, journal=folder / "journal")
        logs = (str(server.log),) if log else ()
        house = stack.enter_context(watched(server, server_logs=logs))
        stack.enter_context(ThreadPoolExecutor()).submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        # A log counts in whole seconds: one of that of its start may be about the worker before.
        started_ns = house.row(worker, pid=pid).started_ns
        until(house, lambda: time.time_ns() > started_ns + 2_000_000_000)
        server.process.send_signal(signal.SIGTERM)
        said = re.compile(b"Shutting down|Handling signal: term")
        until(house, lambda: said.search(server.log.read_bytes()))
        os.killpg(server.process.pid, signal.SIGKILL)
        until(house, lambda: house.rows(incident))
        until(house, lambda: facts(house, pid, "exit"))
        (verdict,) = verdicts(house.engine, [house.row(incident).id]).values()
        told = facts(house, pid, "master_signal")
        return [(kind, {**data, "log": "log" in data}) for kind, data in told], verdict


def test_a_server_without_a_master_says_itself_that_it_was_told_to_stop() -> None:
    told, verdict = killed_after_a_stop("uvicorn", "--port", "{port}", "shop_asgi:app")
    data = {"signal": "SIGTERM", "reason": "stop", "log": False}
    assert told == [("master_signal", data)]
    assert (verdict.cause.name, verdict.word) == ("operator_stop", "strong")
    assert re.search(r"asked to stop \d+\.\d s before it was killed", " ".join(verdict.supports))


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "--port", "{port}", "by_hand:asgi"],
        [*GUNICORN, "--graceful-timeout", "60", "by_hand:wsgi"],
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_a_servers_log_says_that_it_was_told_to_stop(command: list[str]) -> None:
    told, verdict = killed_after_a_stop(*command, by_hand=True, log=True)
    assert told == [("master_signal", {"reason": "stop", "log": True})]
    assert (verdict.cause.name, verdict.word) == ("operator_stop", "strong")


def test_hypercorn_stops_all_workers_when_one_has_died() -> None:
    command = ["hypercorn", "-w", "2", "-b", "127.0.0.1:{port}", "shop_asgi:app"]
    with serving(*command) as server, watched(server) as house:

        def both_have_served() -> bool:
            server.get("/")
            return len(house.rows(worker)) == 2

        until(house, both_have_served)
        killed, other = house.rows(worker)
        os.kill(killed.pid, signal.SIGKILL)
        until(house, lambda: facts(house, other.pid, "exit"))
        assert facts(house, killed.pid, "master_signal") == []
        assert facts(house, other.pid, "master_signal") == [
            ("master_signal", {"signal": "SIGTERM", "reason": "failure"})
        ]
        assert house.row(incident).worker_id == killed.id


@pytest.mark.parametrize(
    ("command", "graceful_s"),
    [
        (f"{' '.join(GUNICORN)} --max-requests 3 --graceful-timeout 2 -k gevent shop_wsgi:app", 2),
        ("uvicorn --workers 2 --limit-max-requests 3 --port {port} shop_asgi:app", None),
        ("hypercorn -w 2 --max-requests 3 -b 127.0.0.1:{port} shop_asgi:app", None),
    ],
)
def test_a_worker_that_has_served_enough_says_so_before_it_ends(
    command: str, graceful_s: float | None
) -> None:
    with serving(*command.split()) as server, watched(server) as house:
        server.get("/")
        until(house, lambda: house.rows(worker))
        told = {"reason": "recycle"} | ({"timeout_s": graceful_s} if graceful_s else {})

        def one_has() -> bool:
            server.get("/")
            return bool(house.rows(evidence, kind="master_signal"))

        until(house, one_has)
        (first, *_) = house.rows(evidence, kind="master_signal")
        assert json.loads(first.data) == told
        assert first.text.startswith(f"worker {house.row(worker, id=first.worker_id).pid} began")


@pytest.mark.parametrize("kind", ["aiohttp.GunicornWebWorker", "tornado"])
def test_a_worker_that_serves_what_cannot_be_recorded_is_not_said_to_have_served_nothing(
    kind: str,
) -> None:
    app = f"shop_other:{kind.partition('.')[0]}_app()"
    with serving(*GUNICORN, "-k", kind, app) as server, watched(server) as house:
        status, body = server.get("/")
        assert status == 200
        os.kill(int(body), signal.SIGKILL)
        until(house, lambda: house.rows(evidence, kind="unrecorded"))
        (told,) = house.rows(evidence, kind="unrecorded")
        assert "none that can be recorded" in told.text
        assert house.rows(evidence, kind="start_failure") == []
        assert len(house.rows(incident)) == 1


def test_uwsgis_own_settings_are_evidence_of_each_worker() -> None:
    need(UWSGI)
    command = f"{UWSGI} --plugin python3 --master --die-on-term --http-socket 127.0.0.1:{{port}}"
    settings = "--harakiri 30 --max-requests 900 --evil-reload-on-rss 512 --lazy-apps"
    with (
        serving(*command.split(), *settings.split(), "--module", "shop_wsgi:app") as server,
        watched(server) as house,
    ):
        server.get("/")
        until(house, lambda: house.rows(evidence, kind="server_options"))
        (told,) = house.rows(evidence, kind="server_options")
        assert json.loads(told.data) == {
            "harakiri": "30",
            "max-requests": "900",
            "evil-reload-on-rss": "512",
            "lazy-apps": "true",
            "master": "true",
        }


def test_a_uwsgi_worker_that_crashes_while_it_loads_is_an_incident(tmp_path: Path) -> None:
    need(UWSGI)
    command = (
        f"{UWSGI} --plugin python3 --master --lazy-apps --die-on-term --http-socket {ANY_PORT}"
    )
    words = [*command.split(), "--module", "crashing:app"]
    with starting(tmp_path, *words) as (house, _):
        until(house, lambda: house.rows(incident))
        told = house.row(worker, id=house.rows(incident)[0].worker_id)
        assert told.signal == "SIGSEGV"
        assert "crashing.py" in told.fault


@pytest.mark.parametrize(
    ("uri", "sent", "whom"),
    [
        ("/ends_itself", "SIGKILL", "to itself"),
        ("/ends_its_thread", "SIGTERM", "to itself"),
        ("/ends_its_parent", "SIGTERM", "to its parent"),
    ],
)
def test_a_signal_that_the_application_sends_is_its_own_word(
    uri: str, sent: str, whom: str
) -> None:
    with serving(*GUNICORN, "shop_wsgi:app") as server, watched(server) as house:
        server.get("/")
        pid = serving_worker(house)
        server.get(uri)

        def told() -> list[dict[str, Any]]:
            found = [data for _, data in facts(house, pid, "master_signal")]
            return [data for data in found if data["reason"] == "application"]

        until(house, told)
        assert told() == [{"signal": sent, "reason": "application", "sender_pid": pid}]
        (fact,) = [row for row in house.rows(evidence) if "own code" in row.text]
        assert whom in fact.text


def test_a_signal_that_the_application_raises_in_itself_is_no_operators() -> None:
    with (
        serving("uvicorn", "--port", "{port}", "shop_asgi:app") as server,
        watched(server) as house,
    ):
        server.get("/")
        pid = serving_worker(house)
        server.get("/ends_itself")
        until(house, lambda: facts(house, pid, "master_signal"))
        assert facts(house, pid, "master_signal") == [
            (
                "master_signal",
                {"signal": "SIGTERM", "reason": "application", "sender_pid": pid},
            )
        ]


def serving_worker(house: House) -> int:
    """The pid of the only worker so far."""
    until(house, lambda: house.rows(worker))
    return int(house.row(worker).pid)
