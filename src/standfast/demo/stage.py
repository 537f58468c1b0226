"""The demo's processes: the shop under ``standfast run``, and the watcher beside it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from standfast.errors import StandfastError

SHOP_FOLDER = Path(__file__).parent / "shop"
STANDFAST = (sys.executable, "-m", "standfast")


def free_port() -> int:
    """A port on the loopback address that nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def open_shop(folder: Path, port: int) -> Iterator[None]:
    """The shop behind gunicorn, recorded into ``folder``, and the watcher; both end with this."""
    journal = str(folder / "journal")
    gunicorn = (
        sys.executable, "-m", "gunicorn", "--chdir", str(SHOP_FOLDER), "--workers", "3",
        "--threads", "4", "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "shop:app",
    )  # fmt: skip
    run = (*STANDFAST, "run", "--app", "shop", "--journal", journal, "--", *gunicorn)
    watch = (*STANDFAST, "watch", "--journal", journal, "--store", str(folder / "store.db"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_start(run, folder, "server.log"))
        started.append(_start(watch, folder, "watch.log"))
        _wait_until_open(port, started[0], folder / "server.log")
        yield
    finally:
        for process in started:
            _stop(process)


def _start(command: Sequence[str], folder: Path, log: str) -> subprocess.Popen[bytes]:
    environ = dict(os.environ, SHOP_DATABASE=str(folder / "shop.db"), PYTHONDONTWRITEBYTECODE="1")
    with (folder / log).open("wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, cwd=folder
        )


def _wait_until_open(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    raise StandfastError(f"the demo's shop did not start; {log} says why")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
