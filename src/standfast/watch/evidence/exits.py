"""How a process ended, from its pidfd: for any process, without being its parent or root.

The kernel (Linux 6.15 and later) keeps the exit status with the pidfd once the process has been
reaped: ``PIDFD_GET_INFO`` with ``PIDFD_INFO_EXIT``, include/uapi/linux/pidfd.h.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from collections.abc import Sequence

from standfast.store.evidence import Fact, Source
from standfast.watch import descriptors
from standfast.watch.facts import exit_fact
from standfast.watch.liveness import Process

from .collector import Death, Living

_INFO = struct.Struct("<QQ11Ii")
_INFO_EXIT = 1 << 3
#: _IOWR(0xFF, 11, struct pidfd_info), of the size that it had first.
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
#: How long a dead process may take until its parent has reaped it, in milliseconds.
_REAP_MS = 50
_MOST = 512
_SHARE = 1 / 8


class PidfdExits:
    """Holds a pidfd of each worker, of at most 512."""

    def __init__(self) -> None:
        self._most = descriptors.share(_SHARE, _MOST)
        self._fds: dict[Process, int] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Opens a pidfd of each that has none."""
        for worker in living:
            if worker.process not in self._fds and len(self._fds) < self._most:
                try:
                    self._fds[worker.process] = os.pidfd_open(worker.pid)
                except (OSError, OverflowError, AttributeError):
                    continue

    def facts(self, death: Death) -> list[Fact]:
        """The exit status, where the kernel tells it."""
        fd = self._fds.get(death.process)
        status = None if fd is None else exit_status(fd)
        if status is None:
            return []
        code = os.waitstatus_to_exitcode(status)
        dumped = bool(status & 0x80)
        return [exit_fact(Source.PIDFD, death.died_ns, death.process.pid, code, core=dumped)]

    def forget(self, death: Death) -> None:
        """Closes the pidfd of a dead worker."""
        fd = self._fds.pop(death.process, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Closes all."""
        while self._fds:
            os.close(self._fds.popitem()[1])


def exit_status(fd: int) -> int | None:
    """The wait status of the process behind a pidfd, None where it cannot be had (yet)."""
    reaped = select.poll()
    reaped.register(fd, select.POLLHUP)
    reaped.poll(_REAP_MS)
    info = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(fd, _GET_INFO, info)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(info)
    return int(status) if mask & _INFO_EXIT else None
