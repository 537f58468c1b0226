"""Signals by which a server that has no master is told to stop, written down by itself.

Whoever sends it SIGKILL because it takes too long (systemd, Docker) says nothing of it here.
"""

from __future__ import annotations

import os
import sys
import time
from types import FrameType, ModuleType
from typing import Any, Optional

from ..journal import identity
from ..journal.format import APPLICATION, SIGNAL, SIGNAL_FIXED, STOP
from .channel import channel_for
from .wrapping import before

_RAISING = frozenset({"raise_signal", "pidfd_send_signal"})


def watch_uvicorn(module: ModuleType) -> None:
    """``uvicorn.server``: the method that it has called at SIGTERM and SIGINT."""

    def told(_: Any, number: int, frame: Optional[FrameType]) -> None:
        _note(number, APPLICATION if _raises(frame) else STOP)

    if hasattr(module.Server, "handle_exit"):
        before(module.Server, "handle_exit", told)


def _has_master() -> bool:
    """Whether gunicorn or a supervisor of uvicorn's has started this process."""
    started_by = sys.modules.get("multiprocessing.process")
    parent = started_by.parent_process() if started_by is not None else None
    return parent is not None or "gunicorn.arbiter" in sys.modules


def _raises(frame: Optional[FrameType]) -> bool:
    """Whether the code that the signal interrupted is code that raises signals: of these, Python
    tells nobody else."""
    return frame is not None and not _RAISING.isdisjoint(frame.f_code.co_names)


def _note(number: int, reason: int) -> None:
    """The server calls this from its signal handler, so it may not wait for the writer."""
    channel = channel_for()
    if channel.opened is None or _has_master():
        return  # it has served nothing so far, or its master says why
    pid = os.getpid()
    fixed = SIGNAL_FIXED.pack(time.time_ns(), identity.start_ticks(pid), pid, number, reason, 0)
    channel.append_later(SIGNAL << 16, fixed)
