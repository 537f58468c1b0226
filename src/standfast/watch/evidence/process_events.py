"""How processes ended, from the kernel's process events: of any process, however short it lived.

The process connector (include/uapi/linux/cn_proc.h, connector.h) tells of every exit on the host:
root, and since Linux 6.6 anybody, but nobody in a container. Where it does not, this source is
silent.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from standfast.store.evidence import Fact, Source
from standfast.watch.facts import exit_fact

from .collector import Death, Living

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC = 1
_CN_VAL_PROC = 1
_LISTEN = 1
_EVENT_NONE = 0
_EVENT_EXIT = 0x80000000
#: struct nlmsghdr, struct cn_msg, and what struct proc_event starts with: what, cpu, timestamp.
_HEADERS = struct.Struct("=IHHII IIIIHH")
_EVENT = struct.Struct("=IIQ")
#: Of an exit: pid and thread group, wait status, signal to the parent, parent's pid and group.
_EXIT = struct.Struct("=iiIIii")
_NLMSG_DONE = 3
#: Room for some ten thousand events between two looks, in bytes.
_ROOM = 4 * 1024 * 1024
#: What is read at one look, and how many ends are kept.
_AT_ONCE = 20_000
_KEPT = 20_000
#: The clocks of a watcher and of its sources differ by the time of a look.
_SLACK_NS = 2_000_000_000


class _End(NamedTuple):
    pid: int
    status: int
    at_ns: int


class ProcessEvents:
    """Listens to the ends of all processes of the host and keeps the last ones."""

    def __init__(self) -> None:
        self._ends: deque[_End] = deque(maxlen=_KEPT)
        self._socket = _listen()

    def look(self, living: Sequence[Living]) -> None:
        """Takes in what has happened."""
        if self._socket is None:
            return
        clocks_ns = time.time_ns() - time.monotonic_ns()
        for _ in range(_AT_ONCE):
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                continue  # ENOBUFS: more happened than there was room for
            end = _end_of(message, clocks_ns)
            if end is not None:
                self._ends.append(end)

    def facts(self, death: Death) -> list[Fact]:
        """The exit status, where the end was seen."""
        if death.pid is None or not death.is_proven:
            return []
        self.look(())
        for end in self._ends:
            # The first after it was last known to live: before that nobody else had its pid.
            if end.pid == death.pid and end.at_ns >= death.alive_ns - _SLACK_NS:
                if end.at_ns > death.died_ns + _SLACK_NS:
                    break
                code = os.waitstatus_to_exitcode(end.status)
                dumped = bool(end.status & 0x80)
                return [
                    exit_fact(
                        Source.PROCESS_EVENTS, end.at_ns, death.process.pid, code, core=dumped
                    )
                ]
        return []

    def forget(self, death: Death) -> None:
        """Nothing is kept for one death alone."""

    def close(self) -> None:
        """Listens no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _listen() -> socket.socket | None:
    try:
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_CONNECTOR)
    except (OSError, AttributeError):
        return None
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        listener.bind((0, _CN_IDX_PROC))
        # Linux 6.6 and later take a choice of events; older ones do not answer that, and answer the
        # request for all events. In a pid namespace of its own, neither is answered.
        refused: int | None = None
        for wanted in (struct.pack("=II", _LISTEN, _EVENT_EXIT), struct.pack("=I", _LISTEN)):
            listener.send(_request(wanted))
            refused = _answer(listener)
            if refused == 0:
                break
    except OSError:
        refused = -1
    if refused != 0:
        listener.close()
        return None
    return listener


def _answer(listener: socket.socket) -> int | None:
    """The error number in the kernel's answer, 0 for none; None where it does not answer.

    The answer is there when the request has been sent: the kernel takes it in while it is.
    """
    for _ in range(_AT_ONCE):
        try:
            message = listener.recv(4096)
        except BlockingIOError:
            break
        if len(message) >= _HEADERS.size + _EVENT.size + 4:
            what, _, _ = _EVENT.unpack_from(message, _HEADERS.size)
            if what == _EVENT_NONE:
                return int.from_bytes(message[_HEADERS.size + _EVENT.size :][:4], "little")
    return None


def _request(wanted: bytes) -> bytes:
    size = _HEADERS.size + len(wanted)
    head = (size, _NLMSG_DONE, 0, 0, 0, _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(wanted), 0)
    return _HEADERS.pack(*head) + wanted


def _end_of(message: bytes, clocks_ns: int) -> _End | None:
    """The end of a whole process in a message, if it tells of one."""
    if len(message) < _HEADERS.size + _EVENT.size + _EXIT.size:
        return None
    what, _, at_ns = _EVENT.unpack_from(message, _HEADERS.size)
    pid, group, status, *_ = _EXIT.unpack_from(message, _HEADERS.size + _EVENT.size)
    if what != _EVENT_EXIT or pid != group:
        return None
    return _End(pid, status & 0xFFFF, at_ns + clocks_ns)
