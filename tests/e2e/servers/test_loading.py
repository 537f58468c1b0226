"""Workers that hang before they have loaded their application are known while they live."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from standfast.cli.main import main
from standfast.diagnose.verdict import verdicts
from standfast.store.tables import evidence, incident
from standfast.watch import checkup
from standfast.watch.loading import Loading, loading
from tests.e2e.servers.serving import APP, PATIENCE_S, UWSGI, serving
from tests.e2e.watched import starting, until
from tests.tools import need
from tests.unit.watch.journals import House, wait_until

GUNICORN = "gunicorn -b 127.0.0.1:0"
SERVING = "gunicorn -b 127.0.0.1:{port}"
UWSGI_LAZY = f"{UWSGI} --plugin python3 --master --lazy-apps --http-socket 127.0.0.1:0"
BY_SERVER = {
    "gunicorn": (f"{GUNICORN} unloaded:app", "import"),
    "gunicorn, a lock held across fork": (f"{GUNICORN} --preload unloaded:app", "lock"),
    "uvicorn": ("uvicorn --interface wsgi --workers 2 --port 0 unloaded:app", "import"),
    "hypercorn": ("hypercorn -w 1 -b 127.0.0.1:0 wsgi:unloaded:app", "import"),
    "uWSGI": (f"{UWSGI_LAZY} --module unloaded:app", "import"),
}


def _hanging(journal: Path) -> list[Loading]:
    wait_until(lambda: loading(str(journal)), PATIENCE_S)
    return loading(str(journal))


@pytest.mark.parametrize("name", BY_SERVER)
def test_a_worker_that_hangs_at_its_start_is_told_by_doctor_and_report(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, how = BY_SERVER[name]
    if name == "uWSGI":
        need(UWSGI)
    with starting(tmp_path, *command.split(), UNLOADED=how) as (house, server):
        worker = _hanging(house.folder)[0]
        assert (worker.app, worker.pid != server.pid) == (APP, True)
        (file,) = house.folder.glob(f"{APP}/{worker.pid}-*.loading")
        os.utime(file, (time.time() - 75,) * 2)
        told = rf"orker {worker.pid} of {APP} started \d+ s ago and has not loaded its application"
        words = [one.words for one in checkup.check(str(house.folder), "") if one.advice]
        assert [one for one in words if re.search(told, one)]
        assert not [one for one in words if "met no server" in one]
        main(["report", "crashes", "--journal", str(house.folder), "--store", house.url])
        assert re.search(told, capsys.readouterr().out)


def _start_failure(house: House) -> Any:
    until(house, lambda: house.rows(evidence, kind="start_failure"))
    told = house.rows(evidence, kind="start_failure")[0]
    assert "before it had loaded its application" in told.text
    assert json.loads(told.data)["loading"] is True
    return told


def test_a_worker_that_is_ended_before_it_has_loaded_is_an_incident_that_says_so(
    tmp_path: Path,
) -> None:
    command, how = BY_SERVER["gunicorn, a lock held across fork"]
    with starting(tmp_path, *command.split(), UNLOADED=how) as (house, _):
        (worker,) = _hanging(house.folder)
        os.kill(worker.pid, signal.SIGKILL)
        _start_failure(house)
        until(house, lambda: not list(house.folder.glob(f"{APP}/{worker.pid}-*.loading")))


def test_a_worker_that_its_master_times_out_before_it_has_loaded_did_not_start(
    tmp_path: Path,
) -> None:
    # gunicorn knows no time-out before a worker has given its first sign of life.
    command, _ = BY_SERVER["uvicorn"]
    with starting(tmp_path, *command.split(), UNLOADED="compiled") as (house, _):
        told = _start_failure(house)
        (row,) = house.rows(incident, worker_id=told.worker_id)
        (verdict,) = verdicts(house.engine, [row.id]).values()
        assert verdict.cause.name == "app_start_failure"
        assert verdict.confidence >= 0.75


@pytest.mark.parametrize(
    "command",
    [
        f"{SERVING} shop_wsgi:app",
        f"{SERVING} --preload -k gevent shop_wsgi:app",
        f"{SERVING} -k uvicorn_worker.UvicornWorker shop_asgi:app",
        "uvicorn --workers 2 --port {port} shop_asgi:app",
        "hypercorn -w 1 -b 127.0.0.1:{port} shop_asgi:app",
    ],
)
def test_a_worker_that_has_loaded_leaves_no_word_of_it(command: str) -> None:
    with serving(*command.split()) as server:
        wait_until(lambda: server.get("/")[0], PATIENCE_S)
        wait_until(lambda: loading(str(server.journal)) == [], PATIENCE_S)
        assert list(server.journal.glob("*/*.loading")) == []
