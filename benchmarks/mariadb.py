"""A MariaDB server of our own: in a folder that goes away, on a Unix socket, for nobody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARIADB_MISSING = "MariaDB is not installed here: make bench as root installs it"
_START_S = 30.0


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """The socket of a running server with an empty database ``bench``; an empty text where
    MariaDB is not installed or does not start."""
    server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    if not server:
        yield ""
        return
    data = folder / "mariadb"
    # A folder is all that a database is; without grants the server needs no tables of its own.
    (data / "bench").mkdir(parents=True)
    address = str(folder / "mariadb.sock")
    command = [
        server,
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={address}",
        f"--pid-file={folder / 'mariadb.pid'}",
        f"--tmpdir={folder}",
        "--skip-networking",
        "--skip-grant-tables",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    with (folder / "mariadb.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield address if _answers(process, address) else ""
    finally:
        process.terminate()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address)
                return True
            except OSError:
                time.sleep(0.1)
    return False
