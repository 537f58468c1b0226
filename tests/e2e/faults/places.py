"""What prepares the machine for a fault: limits of memory, small disks, a database."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.journal import identity
from standfast.journal.append import AppendWriter
from tests.e2e.servers.serving import PATIENCE_S

from .stage import Stage, asks

_CGROUPS = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_limit(folder: Path, mib: int = 220) -> Iterator[list[str]]:
    """A memory cgroup of its own; what is started with these words is in it."""
    with _cgroup(mib) as group:
        yield _enter(group)


@contextlib.contextmanager
def memory_limit_above(folder: Path) -> Iterator[list[str]]:
    """A cgroup without a limit, in one that has a limit."""
    with _cgroup(220) as above, _inside(above, "inner") as group:
        yield _enter(group)


@contextlib.contextmanager
def beside_a_glutton(folder: Path) -> Iterator[list[str]]:
    """The server and a process that is none of its, in one cgroup; when memory ends, the kernel
    is told to prefer the server."""
    with (
        _cgroup(320) as above,
        _inside(above, "server") as group,
        _inside(above, "glutton") as other,
    ):
        (folder / "glutton").write_text(str(other))
        yield _enter(group, "echo 1000 > /proc/self/oom_score_adj;")


def glutton(stage: Stage) -> None:
    stage.steady()
    stage.ask("/sleep?30")
    stage.begun("/sleep?30")
    group = (stage.folder / "glutton").read_text()
    program = "import time\nheld = []\nfor _ in range(31):\n"
    program += "    held.append(b'x' * 10 * 2**20); time.sleep(0.05)\ntime.sleep(3)\n"
    words = [*_enter(Path(group), "echo -900 > /proc/self/oom_score_adj;"), sys.executable, "-c"]
    subprocess.Popen([*words, program], start_new_session=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[list[str]]:
    """A disk of 16 MiB under the folder."""
    disk = folder / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=16m", "standfast-test", str(disk))
    try:
        yield []
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fills(stage: Stage) -> None:
    # The worker must be seen to use that disk.
    stage.server.get(f"/log?{stage.folder}/disk")
    stage.watch(2.5)
    filler = os.open(stage.folder / "disk" / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, b"x" * 4096)
    os.close(filler)


def protects(stage: Stage) -> None:
    stage.server.get(f"/log?{stage.folder}/disk")
    stage.watch(2.5)
    _mount("-o", "remount,ro", str(stage.folder / "disk"))


@contextlib.contextmanager
def few_files(folder: Path) -> Iterator[list[str]]:
    yield ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh"]


@contextlib.contextmanager
def few_processes(folder: Path) -> Iterator[list[str]]:
    with _cgroup(60, Path("/sys/fs/cgroup/pids"), "pids.max") as group:
        (folder / "group").write_text(str(group))
        yield _enter(group)


def crowd(stage: Stage) -> None:
    """Processes that are none of the server's take all that the group may have."""
    group = (stage.folder / "group").read_text()
    words = _enter(Path(group), "for n in $(seq 100); do sleep 20 2>/dev/null & done; wait #")
    subprocess.Popen([*words, "true"], start_new_session=True, stderr=subprocess.DEVNULL)
    stage.watch(1.5)


def restarts(stage: Stage) -> None:
    """The host was started anew: what lay in the journal is of an earlier boot."""
    who = identity.of_this_process("shop", "gunicorn/23.0")
    earlier = who._replace(boot_id="0b5c1f0e-0000-4000-8000-5f6d2f6d2f6d", pid=4242)
    writer = AppendWriter(str(stage.server.journal), earlier)
    fields = b"192.0.2.1\0GET\0/sleep?30\0shop.test\0\0curl/8"
    writer.begin(fields, time.time_ns() - 60_000_000_000, 1, 1)
    writer.close()


@contextlib.contextmanager
def database(folder: Path) -> Iterator[list[str]]:
    """A MariaDB server; its port and process are written down for those who stop it."""
    server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin") or ""
    if not server:
        _lacking("no MariaDB on this machine; on Debian: sudo make system")
    # Not from the range of the clients' own ports: who asks for such a port again and again may
    # at last be connected to itself.
    ports = random.sample(range(20000, 30000), 1000)
    port = next(port for port in ports if not _answers(port))
    (folder / "mariadb").mkdir()
    words = [
        server,
        "--no-defaults",
        f"--datadir={folder / 'mariadb'}",
        "--skip-grant-tables",
        f"--socket={folder / 'mariadb.sock'}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--pid-file={folder / 'pid'}",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    with (folder / "mariadb.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not _answers(port):
            time.sleep(0.1)
        (folder / "database").write_text(f"{port} {process.pid}")
        yield []
    finally:
        process.kill()
        process.wait()


def stops_database(stage: Stage) -> None:
    port, pid = map(int, (stage.folder / "database").read_text().split())
    stage.watch(1.0)
    os.kill(pid, signal.SIGKILL)
    stage.until(lambda: not _answers(port))


def waits_for_database(stage: Stage) -> None:
    port, _ = (stage.folder / "database").read_text().split()
    asks(f"/database?{port}", before=stops_database)(stage)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _lacking(words: str) -> None:
    """Skips, but not in the gate: there nothing is missing."""
    pytest.fail(words) if os.environ.get("CI") == "true" else pytest.skip(words)


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
    except FileNotFoundError:
        _lacking("there is no mount command: apt-get install mount")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")


@contextlib.contextmanager
def _cgroup(limit: int, root: Path | None = None, name: str = "") -> Iterator[Path]:
    """A new cgroup with a limit, in MiB for memory."""
    roots = [root] if root else [path for path in _CGROUPS if path.exists()]
    group = roots[0] / f"standfast-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
        if name:
            (group / name).write_text(str(limit))
        elif (group / "memory.limit_in_bytes").exists():
            (group / "memory.use_hierarchy").write_text("1")
            (group / "memory.limit_in_bytes").write_text(str(limit * 2**20))
        else:
            (group / "memory.max").write_text(str(limit * 2**20))
            (group / "cgroup.subtree_control").write_text("+memory")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no cgroup with a limit can be made here: {error}")
    try:
        yield group
    finally:
        _empty(group)


@contextlib.contextmanager
def _inside(above: Path, name: str) -> Iterator[Path]:
    group = above / name
    group.mkdir()
    try:
        yield group
    finally:
        _empty(group)


def _empty(group: Path) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.05)


def _enter(group: Path, more: str = "") -> list[str]:
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; {more} exec "$@"', "sh"]
