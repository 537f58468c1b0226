"""Starts a real server on a free port of this machine and talks to it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

APPS = Path(__file__).with_name("apps")
BIN = Path(sys.executable).parent
APP = "shop"
#: Debian's own; the wheel `pyuwsgi` lays another one of the same name beside this Python.
UWSGI = "/usr/bin/uwsgi"
AGENT = "Visitor/1.0"
#: How long a server may take to answer, and to end.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Server:
    """A server that answers; ``process`` is the command itself, its master if it has one."""

    process: subprocess.Popen[bytes]
    port: int
    journal: Path
    log: Path

    def get(self, uri: str) -> tuple[int, bytes]:
        """Status and body; (0, b"") where the server breaks the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", uri, headers={"User-Agent": AGENT})
            response = connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, b""
        finally:
            connection.close()

    def stop(self) -> int:
        """Asks the server to end and returns its exit status; minus a signal."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def serving(
    *command: str | Path, variables: Mapping[str, str] | None = None, recorded: bool = True
) -> Iterator[Server]:
    """Serves with ``command`` under ``standfast run``; "{port}" in it is the port to use.

    Not ``recorded`` starts the bare command. Afterwards all that it started has ended, and the
    journal and the log are gone.
    """
    port = free_port()
    words = [str(word).replace("{port}", str(port)) for word in command]
    with tempfile.TemporaryDirectory(prefix="standfast-") as folder:
        journal, log = Path(folder, "journal"), Path(folder, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                standfast_run(journal, words) if recorded else words,
                cwd=APPS,
                env=environment({"HOME": folder, **(variables or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until_it_answers(process, port, log)
            yield Server(process, port, journal, log)
        finally:
            # The group is the command's own, so that what its master left behind ends too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)


def standfast_run(journal: Path, command: Sequence[str | Path], app: str = APP) -> list[str]:
    """The words that have ``command`` recorded."""
    own = [BIN / "standfast", "run", "--app", app, "--journal", journal, "--"]
    return [str(word) for word in (*own, *command)]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command gets to see: this process's variables without Standfast's and Python's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STANDFAST_", "PYTHON"))
    }
    own = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return kept | own | dict(variables or {})


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until a server listens; its log is what an error shows."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"no answer on port {port}:\n{log.read_text(errors='replace')}")
