"""MariaDB and PostgreSQL of our own: in folders that go away, on loopback, for nobody else."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

_START_S = 120.0
_numbers = count(1)


class Server:
    """A database server that answers at ``url``, which names a database that is there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def new_store(self) -> str:
        """The address of an empty database."""
        name = f"store_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return f"{self.url.rpartition('/')[0]}/{name}"

    def run(self, statement: str) -> None:
        """Runs one statement outside of any transaction."""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """A server of this kind, ``mariadb`` or ``postgresql``; the test is skipped without one."""
    folder = Path(tempfile.mkdtemp(prefix="standfast-"))
    try:
        with {"mariadb": _mariadb, "postgresql": _postgresql}[kind](folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _mariadb(folder: Path) -> Iterator[Server]:
    program = _program("mariadbd", "/usr/sbin")
    data, port = folder / "data", _free_port()
    # A folder is all that a database is; without grants the server needs no tables of its own.
    (data / "first").mkdir(parents=True)
    command = [
        program, "--no-defaults", f"--datadir={data}", f"--socket={folder}/socket",
        f"--pid-file={folder}/pid", f"--tmpdir={folder}",
        "--bind-address=127.0.0.1", f"--port={port}",
        "--skip-grant-tables", "--skip-networking=0", "--innodb-flush-log-at-trx-commit=0",
        # What a server of a careless owner has: texts that are alike without being the same.
        "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    with _process(command, folder / "log", f"mysql+pymysql://root@127.0.0.1:{port}/first") as url:
        yield Server(url)


@contextmanager
def _postgresql(folder: Path) -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    where = str(found[-1]) if found else None
    initdb, program = _program("initdb", where), _program("postgres", where)
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", _free_port()
    subprocess.run(
        [initdb, "-D", data, "-U", "standfast", "-A", "trust", "-E", "UTF8", "-N",
         "--locale=C.UTF-8"],
        user=user, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    command = [
        program, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F",
    ]  # fmt: skip
    url = f"postgresql+psycopg://standfast@127.0.0.1:{port}/postgres"
    with _process(command, folder / "log", url, user) as answering:
        yield Server(answering)


@contextmanager
def _process(command: list[str], log: Path, url: str, user: str | None = None) -> Iterator[str]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, user=user, cwd=log.parent)
    try:
        give_up = time.monotonic() + _START_S
        while not _answers(url):
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < give_up, "the database server did not start"
            time.sleep(0.1)
        yield url
    finally:
        # What PostgreSQL takes for "now" and MariaDB for nothing; SIGTERM would wait for clients.
        process.send_signal(signal.SIGINT if "postgres" in url else signal.SIGTERM)
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    engine = create_engine(url)
    try:
        engine.connect().close()
        return True
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def _program(name: str, beside: str | None) -> str:
    found = shutil.which(name) or (shutil.which(name, path=beside) if beside else None)
    if found is not None:
        return found
    lacking = f"{name} is not installed: sudo make system"
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
