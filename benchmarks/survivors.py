"""What each peer still holds about the request that killed a worker.

For every peer and every way to die: gunicorn with two workers, a few requests that are answered,
one that kills, time for the peer to send what it has, an orderly end for the worker that is left.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import children
from .cost import Progress
from .mariadb import MARIADB_MISSING, mariadb
from .peers import PEERS, Peer, Place
from .sink import Sink, sink

#: The ways to die: the path that brings it about, and its name.
DEATHS = {
    "segv": "SIGSEGV",
    "kill": "SIGKILL",
    "hang": "time-out while it sleeps",
    "stuck": "time-out inside C code",
}
REQUEST = "the request, with its parameter"
PATH = "the request, without its parameter"
CRASH = "that a worker died"
NOTHING = "nothing"

_ANSWERED = 5
_TIMEOUT_S = 3
#: What a peer gets after the death; the longest interval between two exports here is 5 s.
_LINGER_S = 7.0
#: Words by which one who knows of a death would tell it.
_WORDS = {
    "segv": (b"SIGSEGV", b"SEGV_MAPERR", b"Segmentation fault"),
    "kill": (b"SIGKILL",),
    "hang": (b"SIGABRT", b"SystemExit"),
    "stuck": (b"SIGABRT", b"SIGKILL"),
}
_AT_ONCE = 3


@dataclass
class Survivor:
    """What a peer held after each death, and of how many answered requests it held something."""

    peer: str
    version: str = ""
    held: dict[str, str] = field(default_factory=dict)
    answered_held: int = 0
    answered: int = 0
    skipped: str = ""


class Target:
    """A request whose path and whose parameter are found nowhere else."""

    def __init__(self, page: str) -> None:
        item, order = secrets.token_hex(8), secrets.token_hex(8)
        self.uri = f"/{page}/{item}?order={order}"
        self.item, self.order = item.encode(), order.encode()


def measure(
    python: Path, names: Iterable[str], deaths: Iterable[str], say: Progress
) -> list[Survivor]:
    """A row for each of the named peers that is asked here, with the named ``deaths``."""
    survivors = {name: Survivor(name) for name in names if PEERS[name].survivor}
    cases = [(survivor, death) for death in deaths for survivor in survivors.values()]
    with (
        tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder,
        mariadb(Path(folder)) as database,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):

        def run(case: tuple[Survivor, str]) -> None:
            survivor, death = case
            if survivor.skipped:
                return
            try:
                _die(python, survivor, death, database, Path(folder))
            except (OSError, subprocess.SubprocessError) as error:
                survivor.skipped = str(error)
            say(f"{death} {survivor.peer}: {survivor.held.get(death) or survivor.skipped}")

        list(pool.map(run, cases))
    return list(survivors.values())


def _die(python: Path, survivor: Survivor, death: str, database: str, scratch: Path) -> None:
    peer = PEERS[survivor.peer]
    if peer.name == "mariadb" and not database:
        raise OSError(MARIADB_MISSING)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, sink(keep=True) as taken:
        place = Place(folder, taken.url, database)
        environ = children.environ(python, peer, place)
        environ |= {"BENCH_PEER": peer.name, "BENCH_VERSION": f"{folder}/version"}
        answered = [Target("ok") for _ in range(_ANSWERED - 1)] + [Target("error")]
        culprit = Target(death)
        with _gunicorn(python, peer, environ, Path(folder)) as port:
            for target in answered:
                _status(port, target)
            if _status(port, culprit) == 200:
                raise OSError(f"{culprit.uri} was answered, and should have killed its worker")
            time.sleep(_LINGER_S)
        holdings = _holdings(python, peer, environ, taken)
        survivor.version = Path(environ["BENCH_VERSION"]).read_text()
    survivor.answered += len(answered)
    survivor.answered_held += sum(
        any(target.item in held for held in holdings) for target in answered
    )
    survivor.held[death] = judge(holdings, death, culprit, answered)


def judge(holdings: Iterable[bytes], death: str, culprit: Target, answered: list[Target]) -> str:
    """How much a peer holds of the request that killed.

    A report on an ``answered`` request is no news of the death, whatever words stand in it:
    some show the source code around an error.
    """
    holdings = list(holdings)
    if any(culprit.order in held for held in holdings):
        return REQUEST
    if any(culprit.item in held for held in holdings):
        return PATH
    told = [held for held in holdings if any(word in held for word in _WORDS[death])]
    if any(not any(target.item in held for target in answered) for held in told):
        return CRASH
    return NOTHING


def _holdings(python: Path, peer: Peer, environ: dict[str, str], taken: Sink) -> list[bytes]:
    """What the peer sent, a message each, and what it keeps by itself, a line each."""
    ran = subprocess.run(
        [str(python), "-m", "benchmarks.held", peer.name],
        env=environ,
        cwd=children.ROOT,
        capture_output=True,
        timeout=60.0,
        check=True,
    )
    return [*taken.bodies, *ran.stdout.splitlines()]


@contextlib.contextmanager
def _gunicorn(python: Path, peer: Peer, environ: dict[str, str], folder: Path) -> Iterator[int]:
    """The port of a running gunicorn with the victim; ends it in good order afterwards."""
    with socket.socket() as listener, (folder / "gunicorn.log").open("wb") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        port = int(listener.getsockname()[1])
        arguments = ("--workers=2", f"--timeout={_TIMEOUT_S}", f"--bind=fd://{listener.fileno()}")
        process = subprocess.Popen(
            children.command(python, peer, "gunicorn", *arguments, "benchmarks.victim:app"),
            env=environ,
            cwd=children.ROOT,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    try:
        if _status(port, Target("ok")) != 200:
            raise OSError(_last_line(folder / "gunicorn.log") or "gunicorn does not answer")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(15.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _status(port: int, target: Target) -> int:
    """The status of the answer; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    try:
        connection.request("GET", target.uri)
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if "Error" in line]
    return lines[-1] if lines else ""
