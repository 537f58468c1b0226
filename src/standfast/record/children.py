"""How the children of a pre-forking master died, as the master itself is told."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any

from ..journal import identity
from .channel import channel_for


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
        _note(found, ticks)
    return result


def _note(found: Any, start_ticks: int) -> None:
    code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
    try:
        channel_for().open().exit(found.si_pid, start_ticks, code, time.time_ns())
    except Exception:  # the master must go on, whatever is wrong with our record
        return
