"""A dashboard over what really happened: a recorded server, its watcher, and `standfast serve`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.servers.serving import BIN, PATIENCE_S, Server, environment, serving
from tests.unit.watch.journals import wait_until

PASSWORD = "correct horse battery staple"
#: What a hostile client sends: markup, a change of the reading direction, control characters,
#: bytes that are no UTF-8, and more than fits anywhere.
HOSTILE = (
    (b"/boom?<script>document.title='taken'</script>", b"<svg/onload=document.title='taken'>"),
    (b'/boom?"><img/src=x/onerror=document.title="taken">', b"'\"><script>alert(1)</script>"),
    (b"/boom?%E2%80%AEgnp.exe", "Mozilla \u202egnp.exe\u2066\u200b".encode()),
    (b"/boom?%FF%00%1B", b"Mozilla \xff\xfe\x80\x9b31m"),
    (b"/boom?" + b"A" * 8000, b"B" * 8000),
)
_GUNICORN = (
    "gunicorn",
    "--limit-request-line",
    "8190",
    "-b",
    "127.0.0.1:{port}",
    "-k",
    "gthread",
    "--threads",
    "4",
    "-w",
    "2",
)


@dataclass
class Dashboard:
    """A dashboard that answers. ``apps`` are the numbers of the applications by name."""

    url: str
    store: Path
    server: Server
    apps: dict[str, int] = field(default_factory=dict)

    def page(self, name: str = "", app: str = "shop") -> str:
        """The address of a page about an application."""
        return f"{self.url}/apps/{self.apps[app]}{'/' + name if name else ''}"


@contextmanager
def dashboard(*options: str) -> Iterator[Dashboard]:
    """Serves, crashes, watches, and shows it: two applications, a customer each, an admin."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(*_GUNICORN, "shop_wsgi:app"))
        store = server.journal.parent / "store.db"
        places = ("--journal", str(server.journal), "--store", str(store))
        variables = {"STANDFAST_SLOW_S": "0.3", "STANDFAST_APP": "other"}
        _visit(server)
        other = [str(BIN / "python"), "-c", _OTHER]
        told = {**variables, "STANDFAST_JOURNAL": str(server.journal)}
        subprocess.run(other, env=environment(told), check=True, timeout=PATIENCE_S)
        stack.enter_context(_running(("watch", *places), variables, "watch.log", store.parent))
        wait_until(lambda: _count(store, "incident") and len(_apps(store)) == 2, PATIENCE_S)
        for name, words in (
            ("ada", ("--app", "shop")),
            ("eve", ("--app", "other")),
            ("root", ("--admin",)),
        ):
            add = [BIN / "standfast", "user", "add", name, *words, "--store", str(store)]
            subprocess.run(
                add, input=f"{PASSWORD}\n".encode(), check=True, env=environment(),
                capture_output=True, timeout=PATIENCE_S,
            )  # fmt: skip
        serve = ("serve", "--store", str(store), "--bind", "127.0.0.1:0", *options)
        log = stack.enter_context(_running(serve, {}, "serve.log", store.parent))
        found = re.compile(r"at (http://\S+)/\n")
        wait_until(lambda: found.search(log.read_text()), PATIENCE_S)
        match = found.search(log.read_text())
        assert match is not None
        yield Dashboard(match[1], store, server, _apps(store))


_OTHER = """
import time
from standfast.wsgi import Recorder
def app(environ, start_response):
    time.sleep(0.5)
    start_response("200 OK", [])
    return [b""]
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/secret", "QUERY_STRING": "of=the-other"}
list(Recorder(app)(environ, lambda status, headers, exc_info=None: None))
"""


def _visit(server: Server) -> None:
    for _ in range(3):
        assert server.get("/")[0] == 200
        assert server.get("/boom?order=1")[0] == 500
    assert server.get("/logged")[0] == 200
    assert server.get("/sleep?0.5")[0] == 200
    for uri, agent in HOSTILE:
        _ask(server.port, uri, agent)
    assert server.get("/segv?to=%3Cb%3EAda%3C/b%3E")[0] == 0


def _ask(port: int, uri: bytes, agent: bytes) -> None:
    """Sends what no well-meaning client would, and reads what there is to read."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        head = b"GET %b HTTP/1.1\r\nHost: x\r\nUser-Agent: %b\r\nConnection: close\r\n\r\n"
        connection.sendall(head % (uri, agent))
        while connection.recv(65536):
            pass


@contextmanager
def _running(
    words: tuple[str, ...], variables: dict[str, str], name: str, folder: Path
) -> Iterator[Path]:
    log = folder / name
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / "standfast", *words], env=environment(variables), cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _sql(store: Path, statement: str) -> list[tuple[object, ...]]:
    import sqlite3

    if not store.exists():
        return []
    connection = sqlite3.connect(store, timeout=10)
    try:
        return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []  # the watcher has not made its tables yet
    finally:
        connection.close()


def _count(store: Path, table: str) -> int:
    rows = _sql(store, f"SELECT count(*) FROM {table}")
    return int(str(rows[0][0])) if rows else 0


def _apps(store: Path) -> dict[str, int]:
    rows = _sql(store, "SELECT id, name FROM application")
    return {str(name): int(str(number)) for number, name in rows}


def wait_for_flight(store: Path) -> None:
    """Waits until the watcher has seen a request in flight."""
    until = time.monotonic() + PATIENCE_S
    while not _sql(store, "SELECT 1 FROM request WHERE outcome = 'open' AND NOT aborted"):
        assert time.monotonic() < until, "no request in flight"
        time.sleep(0.1)
