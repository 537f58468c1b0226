"""The demo's processes: the shop under ``standfast run``, and the watcher beside it."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
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
#: Where the dashboard is looked for first.
_USUAL_PORT = 8400
STANDFAST = (sys.executable, "-m", "standfast")


def typed() -> str:
    """What to type for this standfast: its name where the shell finds it, else its path."""
    script = Path(sys.executable).with_name("standfast")
    found = shutil.which("standfast")
    if found is not None and Path(found).resolve() == script.resolve():
        return "standfast"
    if not script.is_file():
        return shlex.join(STANDFAST)
    here = Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))


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


def start_dashboard(folder: Path, lasts_s: int) -> tuple[str, int]:
    """Starts the dashboard over the demo's store, to end by itself; its address and its pid.

    Raises StandfastError where it does not come up.
    """
    port = _USUAL_PORT if _is_free(_USUAL_PORT) else free_port()
    serve = (
        *STANDFAST, "serve", "--store", str(folder / "store.db"), "--bind", f"127.0.0.1:{port}",
        "--for", str(lasts_s),
    )  # fmt: skip
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            serve, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
    _wait_until_open(port, process, log, "dashboard")
    return f"http://127.0.0.1:{port}/", process.pid


def _is_free(port: int) -> bool:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start(command: Sequence[str], folder: Path, log: str) -> subprocess.Popen[bytes]:
    environ = dict(os.environ, SHOP_DATABASE=str(folder / "shop.db"), PYTHONDONTWRITEBYTECODE="1")
    with (folder / log).open("wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, cwd=folder
        )


def _wait_until_open(
    port: int, server: subprocess.Popen[bytes], log: Path, what: str = "shop"
) -> None:
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
    raise StandfastError(f"the demo's {what} did not start; {log} says why")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
