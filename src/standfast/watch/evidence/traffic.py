"""What the kernel knows of the connections of clients: how long ago they last sent something, and
whether they take in what is sent to them (sock_diag(7), the tcp_info of linux/tcp.h).

A coroutine or a greenlet that waits for its client stands on no stack. Its connection tells.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP = 4, 20, 0x301
_ERROR, _DONE, _INFO = 2, 3, 2
_ESTABLISHED, _CLOSE_WAIT, _LISTEN = 1, 8, 10
_HEAD = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBxI48x")
#: State, ports, addresses, bytes that the other side has not taken yet, inode.
_TOLD = struct.Struct("=xBxx2s2s16s16s12x8xI4xI")
_ATTRIBUTE = struct.Struct("=HH")
#: tcpi_last_data_recv, in milliseconds.
_LAST_RECEIVED = struct.Struct("=52xI")
_AT_ONCE = 1 << 16
#: So many parts of an answer are read at most, and so long is each waited for.
_MOST_PARTS = 2_000
_PATIENCE_S = 0.5


class Connection(NamedTuple):
    """A client's connection: its address, how long ago it last sent something, and whether there is
    something that it has not taken yet."""

    address: str
    silent_s: float
    is_behind: bool


class _Socket(NamedTuple):
    state: int
    port: bytes
    address: str
    untaken: int
    inode: int
    silent_s: float


def of_clients(pid: int) -> list[Connection]:
    """The connections over TCP that a process has accepted; empty where they cannot be seen, as in
    another network namespace."""
    try:
        if Path(f"/proc/{pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino:
            return []
        held = _held(pid)
        found = [one for family in (socket.AF_INET, socket.AF_INET6) for one in _sockets(family)]
    except (OSError, struct.error, ValueError):
        return []
    accepting = {one.port for one in found if one.state == _LISTEN}
    return [
        Connection(one.address, one.silent_s, one.untaken > 0)
        for one in found
        if one.state != _LISTEN and one.port in accepting and f"socket:[{one.inode}]" in held
    ]


def _held(pid: int) -> set[str]:
    """What its descriptors are."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.add(os.readlink(entry))  # noqa: PTH115 - it is no path
    return found


def _sockets(family: int) -> Iterator[_Socket]:
    states = 1 << _ESTABLISHED | 1 << _CLOSE_WAIT | 1 << _LISTEN
    asked = _ASKED.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), states)
    head = _HEAD.pack(_HEAD.size + len(asked), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as net:
        net.settimeout(_PATIENCE_S)
        net.send(head + asked)
        for _ in range(_MOST_PARTS):
            part = net.recv(_AT_ONCE)
            while part:
                size, kind, *_rest = _HEAD.unpack_from(part)
                if kind in (_ERROR, _DONE):
                    return
                yield _socket(family, part[_HEAD.size : size])
                part = part[max(size + 3 & ~3, _HEAD.size) :]


def _socket(family: int, told: bytes) -> _Socket:
    state, port, _, _, remote, untaken, inode = _TOLD.unpack_from(told)
    address = socket.inet_ntop(family, remote[: 4 if family == socket.AF_INET else 16])
    silent_s = 0.0
    attributes = told[_TOLD.size :]
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _INFO:
            with suppress(struct.error):
                silent_s = _LAST_RECEIVED.unpack_from(attributes[_ATTRIBUTE.size : size])[0] / 1000
        attributes = attributes[max(size + 3 & ~3, _ATTRIBUTE.size) :]
    return _Socket(state, port, address.removeprefix("::ffff:"), untaken, inode, silent_s)
