"""With and without recorder and watcher a server says and does the same, byte for byte.

Each server is started twice and asked the same odd things; what it answers, what it says in its
log, how it ends and what interrupts its applications are compared.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.differential import odd_asgi, odd_wsgi
from tests.e2e.differential.pair import SERVERS, Pair, pair, watching
from tests.e2e.servers.serving import PATIENCE_S, UWSGI
from tests.tools import need
from tests.unit.watch.journals import wait_until


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with watching(tmp_path_factory.mktemp("differential")) as journal:
        yield journal


@pytest.fixture(params=SERVERS)
def servers(request: pytest.FixtureRequest, tmp_path: Path, journal: Path) -> Iterator[Pair]:
    with started(request.param, tmp_path, journal) as both:
        yield both


def started(name: str, folder: Path, journal: Path) -> AbstractContextManager[Pair]:
    """The pair, where the machine has the server."""
    if name.startswith("uwsgi"):
        need(UWSGI)
    return pair(name, folder, journal)


def test_a_server_answers_says_and_ends_as_it_does_without_standfast(
    servers: Pair, journal: Path
) -> None:
    odd = list(odd_asgi.ODD if "odd_asgi" in SERVERS[servers.name] else odd_wsgi.ODD)
    if "gevent" in servers.name:
        # gevent's own waitpid now and then misses a child that ends at once, without us as well.
        odd.remove("/forks")
    with ThreadPoolExecutor(2) as asking:
        bare, recorded = asking.map(
            lambda server: {path: server.ask(path) for path in odd},
            (servers.bare, servers.recorded),
        )
    assert recorded == bare
    assert servers.recorded.stop() == servers.bare.stop()
    assert servers.recorded.said() == servers.bare.said()
    # All of that is worth something only if the second one was recorded.
    wait_until(lambda: stored(journal, servers.name) == len(odd), PATIENCE_S)


def stored(journal: Path, app: str) -> int:
    """How many requests of the application the watcher has stored."""
    count = "SELECT count(*) FROM {} JOIN worker ON worker.id = worker_id JOIN application ON"
    count += " application.id = worker.application_id WHERE name = ?"
    with contextlib.closing(sqlite3.connect(journal.parent / "store.db")) as store:
        tables = ("ordinary_request", "request")
        try:
            return sum(store.execute(count.format(table), (app,)).fetchone()[0] for table in tables)
        except sqlite3.OperationalError:
            return 0  # the watcher has not made it yet


@pytest.mark.parametrize("name", ["gunicorn-gevent", "gunicorn-gthread", "werkzeug", "waitress"])
def test_a_request_that_joins_a_child_holds_up_no_other(
    name: str, tmp_path: Path, journal: Path
) -> None:
    with started(name, tmp_path, journal) as servers, ThreadPoolExecutor(2) as asking:
        for server in (servers.bare, servers.recorded):
            sign = tmp_path / f"{server.port}"
            joined = asking.submit(server.ask, f"/joins?{sign}")
            touched = server.ask(f"/touches?{sign}")
            assert b"touched" in touched
            assert b"joined 0" in joined.result()


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gevent", "uvicorn-uvloop", "uwsgi"])
def test_a_blocking_call_is_not_interrupted_however_long_it_takes(
    name: str, tmp_path: Path, journal: Path
) -> None:
    with started(name, tmp_path, journal) as servers, ThreadPoolExecutor(2) as asking:
        answers = list(
            asking.map(lambda server: server.ask("/blocks?3"), (servers.bare, servers.recorded))
        )
    assert answers[0] == answers[1]
    assert b"sleep 0 poll 0" in answers[1]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gunicorn-sync", "/leaves"),
        ("gunicorn-gthread", "/ends"),
        ("uvicorn-asyncio", "/leaves"),
        ("waitress", "/ends"),
    ],
)
def test_an_application_that_ends_its_process_ends_it_as_it_would_alone(
    name: str, path: str, tmp_path: Path, journal: Path
) -> None:
    with started(name, tmp_path, journal) as servers:
        bare, recorded = servers.both(path)
        assert recorded == bare
        assert servers.recorded.stop() == servers.bare.stop()
