"""What a pre-forking master does to its children and is told of their deaths, written down."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any, Optional

from ..journal import identity
from .channel import channel_for

#: The children of this process that are there to serve requests.
workers: set[int] = set()
#: The last signal to each of them, and why.
_signalled: dict[int, tuple[int, int]] = {}


def watch_children(module: ModuleType) -> None:
    """Writes down the status of every child that ``module`` reaps with ``os.waitpid``.

    Only this module sees the change: it gets an ``os`` of its own.
    """
    own = ModuleType("os")
    own.__dict__.update(vars(os))
    own.waitpid = waitpid  # type: ignore[attr-defined]
    module.os = own  # type: ignore[attr-defined]


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """``os.waitpid``, and the dead child's status goes into this process's journal.

    The child is looked at before it is reaped: until then its start time can be read.
    """
    found: Any = None
    if pid == -1 or pid > 0:
        kind, number = (os.P_ALL, 0) if pid == -1 else (os.P_PID, pid)
        found = os.waitid(kind, number, os.WEXITED | os.WNOWAIT | (options & os.WNOHANG))
        if found is None:
            return 0, 0
        pid = found.si_pid
    ticks = identity.start_ticks(pid)
    result = os.waitpid(pid, options)
    if found is not None and result[0] == pid:
        _note_exit(found, ticks)
    return result


def reason_before(pid: int) -> Optional[int]:
    """Why the last signal to this worker was sent, None where there was none."""
    return _signalled[pid][1] if pid in _signalled else None


def note_signal(pid: int, signal: int, reason: int, timeout_s: float = 0.0) -> None:
    """Writes down that this process is about to send ``signal`` to a worker, to end it.

    Says nothing of a worker that has died by itself meanwhile, nor the same thing twice.
    """
    if pid not in workers or _signalled.get(pid) == (signal, reason):
        return
    try:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        _signalled[pid] = (signal, reason)
        ticks, timeout_ns = identity.start_ticks(pid), int(timeout_s * 1e9)
        channel_for().open().signal(pid, ticks, signal, reason, timeout_ns, time.time_ns())
    except Exception:  # the master must go on, whatever is wrong with our record
        return


def _note_exit(found: Any, start_ticks: int) -> None:
    pid = found.si_pid
    code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
    was_worker = pid in workers
    workers.discard(pid)
    _signalled.pop(pid, None)
    try:
        channel_for().open().exit(pid, start_ticks, code, time.time_ns(), was_worker)
    except Exception:  # as above
        return


def _forget() -> None:
    """In a child: its parent's children are not its own."""
    workers.clear()
    _signalled.clear()


os.register_at_fork(after_in_child=_forget)
