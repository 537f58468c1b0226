"""Who is writing: what tells this worker from every other, also after a restart of the host."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple


class Identity(NamedTuple):
    """One process: its number is used again, together with its start and the boot it is not.

    ``start_ticks`` are clock ticks since the host started (proc(5), field 22 of stat).
    """

    app: str
    host: str
    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: int
    server: str = ""
    revision: str = ""


def of_this_process(app: str, server: str = "", revision: str = "") -> Identity:
    """The identity of the calling process; what the system does not tell is 0 or empty.

    Raises OSError where the system is short of what it takes to ask, so that it may be asked later:
    under half an identity nobody would know this process for one that lives.
    """
    pid = os.getpid()
    ticks, boot = start_ticks(pid), boot_id()
    if not (ticks and boot):
        refuse_if_short()
        ticks, boot = start_ticks(pid), boot_id()
    return Identity(
        app=app,
        host=os.uname().nodename,
        pid=pid,
        start_ticks=ticks,
        boot_id=boot,
        pid_namespace=pid_namespace(),
        server=server,
        revision=revision,
    )


def refuse_if_short() -> None:
    """Raises OSError where no file can be opened and mapped: descriptors or memory are used up."""
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(os.dup(fd))
    finally:
        os.close(fd)


def worker_uid(host: str, boot_id: str, pid: int, start_ticks: int) -> str:
    """A name for a worker, the same wherever it is made: its pid and eight hex digits."""
    seed = "\0".join((host, boot_id, str(pid), str(start_ticks))).encode("utf-8", "replace")
    return f"{pid}-{hashlib.sha256(seed).hexdigest()[:8]}"


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The command's name, in brackets, may itself hold brackets and spaces.
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def boot_id() -> str:
    """The kernel's name for the time since the host started, or an empty text."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().decode("latin-1").strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """The number of the namespace in which this process's pid counts, or 0."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
