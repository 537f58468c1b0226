"""One server twice: bare, and recorded under a watcher. What they say and do is compared."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.e2e.servers.serving import BIN, PATIENCE_S, UWSGI, environment, standfast_run

HERE = Path(__file__).parent
GUNICORN = f"{BIN}/gunicorn -b 127.0.0.1:{{port}} --graceful-timeout 2"
PYUWSGI = f"{BIN}/uwsgi --die-on-term --http-socket 127.0.0.1:{{port}}"
DEBIAN = f"{UWSGI} --plugin python3 --die-on-term --http-socket 127.0.0.1:{{port}}"
UVICORN = f"{BIN}/uvicorn --port {{port}} --timeout-graceful-shutdown 2"

#: Command lines by name; each serves the application of the module before the colon.
SERVERS = {
    "gunicorn-sync": f"{GUNICORN} odd_wsgi:app",
    "gunicorn-gthread": f"{GUNICORN} -k gthread --threads 4 odd_wsgi:app",
    "gunicorn-gevent": f"{GUNICORN} -k gevent odd_wsgi:app",
    "gunicorn-own-class": f"{GUNICORN} -k own_worker.OwnWorker odd_wsgi:app",
    "gunicorn-uvicorn": f"{GUNICORN} -k uvicorn_worker.UvicornWorker odd_asgi:app",
    "gunicorn-asgi": f"{GUNICORN} -k asgi odd_asgi:app",
    "uvicorn-asyncio": f"{UVICORN} --loop asyncio --http h11 odd_asgi:app",
    "uvicorn-uvloop": f"{UVICORN} --loop uvloop odd_asgi:app",
    "uvicorn-wsgi": f"{UVICORN} --interface wsgi odd_wsgi:app",
    "hypercorn": f"{BIN}/hypercorn -b 127.0.0.1:{{port}} --graceful-timeout 2 odd_asgi:app",
    "hypercorn-wsgi": f"{BIN}/hypercorn -b 127.0.0.1:{{port}} wsgi:odd_wsgi:app",
    "waitress": f"{BIN}/waitress-serve --listen 127.0.0.1:{{port}} odd_wsgi:app",
    "werkzeug": f"{BIN}/python serve_werkzeug.py {{port}}",
    "wsgiref": f"{BIN}/python serve_wsgiref.py {{port}}",
    "gevent": f"{BIN}/python serve_gevent.py {{port}}",
    "eventlet": f"{BIN}/python serve_eventlet.py {{port}}",
    "uwsgi": f"{DEBIAN} --master --processes 1 --module odd_wsgi:app",
    "uwsgi-threads": f"{DEBIAN} --lazy-apps --master --threads 2 --module odd_wsgi:app",
    "pyuwsgi": f"{PYUWSGI} --master --processes 1 --module odd_wsgi:app",
}

#: What differs from one run of a server to the next, and what stands for it.
_VARYING = [
    (re.compile(rb"'REMOTE_PORT': '\d+'|hidden keys: \d+"), b"SOME"),
    (re.compile(rb'(" \d{3} \d+ )\d+\.\d+(e-\d+)?$', re.M), rb"\1TOOK"),
    (re.compile(rb"(?i)(date: )[^\r\n]*"), rb"\1NOW"),
    (re.compile(rb"\d\d\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d([,.]\d+)?( [+-]\d{4})?"), b"NOW"),
    (re.compile(rb"\d\d?/\w{3}/\d{4}[ :]\d\d:\d\d:\d\d( [+-]\d{4})?"), b"NOW"),
    (re.compile(rb"0x[0-9a-f]+"), b"0xADDRESS"),
    (re.compile(rb"127\.0\.0\.1:\d+"), b"127.0.0.1:PORT"),
    (re.compile(rb"'127\.0\.0\.1', \d+"), b"'127.0.0.1', PORT"),
    (re.compile(rb"\b(process |pid[:= ]*|worker |buried )\d+", re.I), rb"\1PID"),
    (re.compile(rb"\[\d+\]|\(\d+\)"), b"[PID]"),
    (re.compile(rb"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}"), b"NOW"),
    (re.compile(rb"odd-\d+"), b"odd-PID"),
    (re.compile(rb"\d+ (msecs|seconds)|core \d+|req: \d+/\d+"), b"SOME"),
    (re.compile(rb'(futures/_base.py", line )\d+'), rb"\1LINE"),
    (re.compile(rb"/(bare|recorded)/"), b"/FOLDER/"),
]
#: The recorder's own frames, with the lines of source below them: in a stack that is printed while
#: they stand on it, and where the server raises what the application has handed to it.
_OWN_FRAME = re.compile(rb'  File "[^"]*/standfast/[^"]*", line[^\n]*\n(    [^\n]*\n)*')
_HANDED_OVER = re.compile(
    rb'( *\|? *)  File "[^"]*/standfast/[^"]*", line \d+, in start_response\n(\1    [^\n]*\n)*'
)
_CALL_STACK = re.compile(rb"^Call stack:\n(?:  .*\n)*", re.M)
#: What eventlet's hub says of an error depends on what woke the greenlet: the socket or a timer.
_HUB = re.compile(
    rb'  File "[^"]*/eventlet/hubs/[^"]*", line[^\n]*\n(    [^\n]*\n)*|Removing descriptor: \d+\n'
)


class Running(NamedTuple):
    """One server that answers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str, method: str = "POST", body: bytes = b"odd bodies\nfollow") -> bytes:
        """All bytes of the response as they come, but for what varies; the port is not told."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: odd.example\r\nConnection: close\r\n"
            f"Content-Type: text/x-odd\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        received = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
                connection.sendall(head.encode() + body)
                while chunk := connection.recv(65536):
                    received += chunk
        except (ConnectionError, TimeoutError) as error:
            received += type(error).__name__.encode()
        return steady(received)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after the signal; minus a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def said(self) -> list[str]:
        """The lines of its log, sorted, since threads write them in any order."""
        return sorted(steady(self.log.read_bytes()).decode(errors="replace").splitlines())


class Pair(NamedTuple):
    """A server bare, and the same server recorded."""

    name: str
    bare: Running
    recorded: Running

    def both(self, path: str) -> tuple[bytes, bytes]:
        """What the two answer to the same bytes."""
        return self.bare.ask(path), self.recorded.ask(path)


def steady(data: bytes) -> bytes:
    """``data`` without what is another with each run, and frames of the recorder's that must be."""
    data = _CALL_STACK.sub(lambda found: _OWN_FRAME.sub(b"", found[0]), data)
    data = _HUB.sub(b"", _HANDED_OVER.sub(b"", data))
    for pattern, instead in _VARYING:
        data = pattern.sub(instead, data)
    return data


@contextlib.contextmanager
def watching(folder: Path, hang_s: float = 1.0) -> Iterator[Path]:
    """A journal folder with a watcher of its own, which takes stacks after ``hang_s``."""
    journal = folder / "journal"
    (folder / "standfast.toml").write_text(f"hang_s = {hang_s}\n")
    own = [str(BIN / "standfast"), "watch", "--journal", str(journal), "--store", "store.db"]
    with (folder / "watch.log").open("wb") as output:
        watcher = subprocess.Popen(
            own, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield journal
        assert watcher.poll() is None, (folder / "watch.log").read_text()
    finally:
        watcher.terminate()
        watcher.wait(PATIENCE_S)


@contextlib.contextmanager
def pair(name: str, folder: Path, journal: Path) -> Iterator[Pair]:
    """Starts a server of ``SERVERS`` both ways, at once."""
    words = SERVERS[name].split()
    ways = [("bare", words), ("recorded", standfast_run(journal, words, app=name))]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_start(folder / way, line)) for way, line in ways]
        with ThreadPoolExecutor() as waiting:
            list(waiting.map(_wait_until_it_answers, started))
        yield Pair(name, *started)


@contextlib.contextmanager
def _start(folder: Path, command: list[str]) -> Iterator[Running]:
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in command],
            cwd=HERE,
            env=environment({"HOME": str(folder), "PYTHONHASHSEED": "0"}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(process, port, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)


def _wait_until_it_answers(server: Running) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and server.process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", server.port), 1),
        ):
            return
        time.sleep(0.05)
    raise AssertionError(server.log.read_text(errors="replace"))
