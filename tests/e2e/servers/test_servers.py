"""Every server that Standfast knows, started by ``standfast run`` with nothing changed in the app.

Each is visited once: a plain request, one that raises, one that logs, one that streams, and last
one that kills the worker. Then each promise is looked for in what was recorded.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.e2e.servers.serving import AGENT, PATIENCE_S, serving
from tests.e2e.servers.serving import UWSGI as DEBIAN_UWSGI
from tests.recorded import Recorded, Request, all_closed, read, read_until
from tests.tools import need

GUNICORN = "gunicorn -b 127.0.0.1:{port}"
UWSGI = f"{DEBIAN_UWSGI} --plugin python3 --die-on-term --http-socket 127.0.0.1:{{port}}"

#: Command lines by name.
SERVERS = {
    "gunicorn": f"{GUNICORN} shop_wsgi:app",
    "gunicorn-gthread": f"{GUNICORN} -k gthread --threads 4 shop_wsgi:app",
    "gunicorn-preload": f"{GUNICORN} -k gthread --preload shop_wsgi:app",
    "gunicorn-factory": f"{GUNICORN} shop_wsgi:create()",
    "gunicorn-uvicorn": f"{GUNICORN} -k uvicorn_worker.UvicornWorker shop_asgi:app",
    "gunicorn-asgi": f"{GUNICORN} -k asgi shop_asgi:app",
    "uvicorn": "uvicorn --port {port} shop_asgi:app",
    "uvicorn-workers": "uvicorn --workers 2 --port {port} shop_asgi:app",
    "uvicorn-wsgi": "uvicorn --interface wsgi --port {port} shop_wsgi:app",
    "hypercorn": "hypercorn -b 127.0.0.1:{port} shop_asgi:app",
    "hypercorn-wsgi": "hypercorn -b 127.0.0.1:{port} wsgi:shop_wsgi:app",
    "waitress": "waitress-serve --listen 127.0.0.1:{port} shop_wsgi:app",
    "uwsgi-file": f"{UWSGI} --master --wsgi-file shop_wsgi.py --callable app",
    "uwsgi-module": f"{UWSGI} --master --lazy-apps --module shop_wsgi:app",
    "uwsgi-default": f"{UWSGI} --threads 2 --module shop_wsgi",
    "uwsgi-factory": f"{UWSGI} --module shop_wsgi:create()",
    "flask": "flask --app shop_flask run --port {port}",
    "flask-debug": "flask --app shop_flask run --debug --port {port}",
    "django": "python shop_django.py runserver {port}",
    "django-noreload": "python shop_django.py runserver --noreload {port}",
    "program-uvicorn": "python call_uvicorn.py {port}",
    "program-waitress": "python call_waitress.py {port}",
    "program-wsgiref": "python call_wsgiref.py {port}",
    "program-gevent": "python call_gevent.py {port}",
    "program-eventlet": "python call_eventlet.py {port}",
}
#: Those whose master is written in Python and reads how its workers died.
READS_STATUSES = ("gunicorn", "uvicorn-workers", "hypercorn")

PLAIN = "/?item=3&password=hunter2"


class Visit(NamedTuple):
    """What the visitor saw (status and body by path) and what was recorded of it."""

    name: str
    port: int
    answers: dict[str, tuple[int, bytes]]
    recorded: Recorded
    raw: bytes


@pytest.fixture(scope="module", params=SERVERS)
def visit(request: pytest.FixtureRequest) -> Iterator[Visit]:
    name = request.param
    if name.startswith("uwsgi"):
        need(DEBIAN_UWSGI)
    with serving(*SERVERS[name].split()) as server:
        answers = {uri: server.get(uri) for uri in (PLAIN, "/boom", "/logged", "/stream")}
        read_until(server.journal, all_closed)
        answers["/segv"] = server.get("/segv")
        if name.startswith(READS_STATUSES):
            read_until(server.journal, lambda recorded: bool(recorded.exits))
            # gunicorn's asgi worker does not hear a SIGTERM that comes while it starts.
            server.get("/again")
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE_S)
        raw = b"".join(path.read_bytes() for path in server.journal.glob("*/*"))
        yield Visit(name, server.port, answers, read(server.journal), raw)


def test_a_plain_request_is_recorded_once_with_what_the_client_sent(visit: Visit) -> None:
    assert visit.answers[PLAIN] == (200, b"plain")
    request = visit.recorded.one("/?")
    begin, end = request.begin, request.end
    assert (begin.kind, begin.method, begin.uri) == ("http", "GET", "/?item=3&password=***")
    assert (begin.client, begin.host) == ("127.0.0.1", f"127.0.0.1:{visit.port}")
    assert (begin.user_agent, begin.forwarded_for, begin.cut) == (AGENT, "", False)
    assert (end.status, end.sent, end.error) == (200, len(b"plain"), "")
    assert 0 < end.duration_ns < PATIENCE_S * 1e9


def test_a_secret_of_the_client_never_touches_the_disk(visit: Visit) -> None:
    assert b"item=3&password=***" in visit.raw
    assert b"hunter2" not in visit.raw


def test_an_exception_is_recorded_with_its_stack(visit: Visit) -> None:
    assert visit.answers["/boom"][0] in (500, 0)  # uWSGI just breaks the connection
    error = visit.recorded.one("/boom").end.error
    assert error.endswith("\nValueError: boom in the shop\n")
    assert ", in boom\n" in error
    assert error.count("Traceback") == 1


def test_a_logged_error_is_recorded_with_its_request(visit: Visit) -> None:
    assert visit.answers["/logged"] == (200, b"logged")
    end = visit.recorded.one("/logged").end
    assert (end.status, end.error) == (200, "shop: the shop logs an error\n")


def test_a_streaming_response_is_closed_when_it_has_been_sent(visit: Visit) -> None:
    assert visit.answers["/stream"] == (200, b"012")
    end = visit.recorded.one("/stream").end
    assert (end.status, end.sent, end.error) == (200, 3, "")
    assert end.duration_ns >= 0.3e9


def test_the_request_that_killed_the_worker_is_the_one_that_is_open(visit: Visit) -> None:
    assert visit.answers["/segv"] == (0, b"")
    (unfinished,) = [request for request in visit.recorded.requests if not request.closed]
    assert (unfinished.begin.uri, unfinished.ends) == ("/segv", [])


def test_the_traceback_of_the_fatal_signal_names_the_thread_of_its_request(visit: Visit) -> None:
    request: Request = visit.recorded.one("/segv")
    fault = visit.recorded.faults[request.worker.pid]
    assert fault.startswith("Fatal Python error: Segmentation fault")
    assert "in segv\n" in fault
    assert f"Current thread 0x{request.begin.thread:016x} " in fault
    assert list(visit.recorded.faults) == [request.worker.pid]


def test_the_death_is_recorded_where_a_master_reads_how_its_workers_died(visit: Visit) -> None:
    worker = visit.recorded.one("/segv").worker
    codes = [
        dead.code
        for dead in visit.recorded.exits
        if (dead.pid, dead.start_ticks) == (worker.pid, worker.start_ticks)
    ]
    assert codes == ([-signal.SIGSEGV] if visit.name.startswith(READS_STATUSES) else [])


def test_the_journal_says_which_application_and_server_it_is_of(visit: Visit) -> None:
    worker = visit.recorded.one("/?").worker
    assert worker.app == "shop"
    name = visit.name.removeprefix("program-").partition("-")[0]
    known = {"flask": "werkzeug", "uwsgi": "uWSGI"}.get(name, name)
    if visit.name == "gunicorn-uvicorn":
        known = "uvicorn"
    assert worker.server.startswith(known)
