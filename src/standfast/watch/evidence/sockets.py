"""Whether a thread waits in the kernel on the connection of a client: of any server, also in C.

/proc/PID/task/TID/syscall has the call in which a thread is blocked, and its arguments (proc(5));
who may trace the process may read it. A connection is a client's where its local address is one on
which this machine listens.
"""

from __future__ import annotations

import os
import platform
import struct
from collections import OrderedDict
from pathlib import Path

from standfast.watch.waits import BODY, RESPONSE

#: Numbers of system calls: those that read, that write, and poll(2), by machine.
_CALLS = {
    "x86_64": ({0, 45, 47}, {1, 20, 44, 46, 40}, {7, 271}),
    "aarch64": ({63, 207, 212}, {64, 66, 206, 211, 71}, {73}),
}
_POLLFD = struct.Struct("=ihh")
_POLLIN, _POLLOUT = 1, 4
_LISTENS = "0A"
_ACCEPTS = 0x10000
#: What is read of a list of connections at most, in bytes.
_LIMIT = 8 * 2**20
_REMEMBERED = 10_000


class Connections:
    """Remembers which connections are clients', as the list of all of them is long."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, bool] = OrderedDict()

    def is_clients(self, pid: int, inode: str) -> bool:
        """Whether a connection, by its inode, is that of a client. May raise ValueError."""
        if inode not in self._known:
            self._known[inode] = _is_clients(pid, inode)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[inode]


def waits_on_client(pid: int, tid: int, connections: Connections) -> str | None:
    """``body`` or ``response`` where the thread waits for its client to send or to take in more."""
    reads, writes, polls = _CALLS.get(platform.machine(), (set(), set(), set()))
    try:
        words = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()
        call, first, second = int(words[0]), int(words[1], 16), int(words[2], 16)
    except (OSError, ValueError, IndexError):
        return None  # it runs, or may not be looked into
    if call in polls:
        polled = _polled(pid, first) if second == 1 else None
        if polled is None:
            return None
        number, is_read = polled
    elif call in reads | writes:
        number, is_read = first, call in reads
    else:
        return None
    try:
        inode = _inode(pid, number)
        if not inode or not connections.is_clients(pid, inode):
            return None
    except (ValueError, IndexError):  # a name of a socket is anybody's words, line breaks too
        return None
    return BODY if is_read else RESPONSE


def _polled(pid: int, address: int) -> tuple[int, bool] | None:
    """The one descriptor that is polled, and whether for reading."""
    try:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            number, events, _ = _POLLFD.unpack(os.pread(fd, _POLLFD.size, address))
        finally:
            os.close(fd)
    except (OSError, OverflowError, struct.error):
        return None
    return (number, bool(events & _POLLIN)) if events & (_POLLIN | _POLLOUT) else None


def _inode(pid: int, number: int) -> str:
    """That of a socket; nothing for other files."""
    try:
        target = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 - it is no path
    except OSError:
        return ""
    return target[8:-1] if target.startswith("socket:[") else ""


def _is_clients(pid: int, inode: str) -> bool:
    return any(_accepted(_lines(pid, name), inode) for name in ("tcp", "tcp6")) or _of_a_path(
        _lines(pid, "unix"), inode
    )


def _accepted(lines: list[list[str]], inode: str) -> bool:
    """Whether the connection's port is one on which somebody listens."""
    ports = {words[1].rpartition(":")[2] for words in lines if words[3] == _LISTENS}
    mine = [words for words in lines if len(words) > 9 and words[9] == inode]
    return any(w[3] != _LISTENS and w[1].rpartition(":")[2] in ports for w in mine)


def _of_a_path(lines: list[list[str]], inode: str) -> bool:
    """The same of a connection by a path, or by an abstract name."""
    paths = {words[7] for words in lines if len(words) > 7 and int(words[3], 16) & _ACCEPTS}
    mine = [words for words in lines if len(words) > 7 and words[6] == inode]
    return any(not int(w[3], 16) & _ACCEPTS and w[7] in paths for w in mine)


def _lines(pid: int, name: str) -> list[list[str]]:
    """The words of each line, but the first one, of a list of connections."""
    try:
        with Path(f"/proc/{pid}/net/{name}").open("rb") as file:
            text = file.read(_LIMIT).decode("ascii", "replace")
    except OSError:
        return []
    return [words for line in text.splitlines()[1:] if len(words := line.split(None, 10)) > 6]
