"""How an application ends its own process, or the master above it, written down: by a signal, or by
going on as another program.

Python tells every ``os.kill`` and ``os.execv`` to the audit hooks (PEP 578), which see it before it
is done and change nothing about it. It tells them nothing of ``signal.raise_signal`` and of
``signal.pidfd_send_signal``: see ``stops``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from ..journal import identity
from ..journal.format import APPLICATION
from .channel import channel_for
from .errors import safely

_ENDING = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT, signal.SIGKILL})
_watched: list[bool] = []


def watch_kills() -> None:
    """From now on. An audit hook cannot be taken away again, so there is one in a process."""
    if not _watched:
        _watched.append(True)
        sys.addaudithook(_audit)


def _audit(event: str, arguments: Any) -> None:
    if event == "os.kill":
        safely(_killed, *arguments)
    elif event == "os.killpg":
        safely(_group_killed, *arguments)
    elif event == "signal.pthread_kill":
        safely(_thread_killed, *arguments)
    elif event == "os.exec":
        safely(_replaced)


def _killed(pid: int, number: int) -> None:
    own = os.getpid()
    target = own if pid == 0 else pid
    if number in _ENDING and target in (own, os.getppid()):
        _note(target, number)


def _group_killed(group: int, number: int) -> None:
    if number in _ENDING and group in (0, os.getpgrp()):
        _note(os.getpid(), number)


def _thread_killed(_: int, number: int) -> None:
    """A signal to a thread is to one of this process, and what it does it does to the process."""
    if number in _ENDING:
        _note(os.getpid(), number)


def _replaced() -> None:
    """It may fail yet. A child that was forked to become another program has no journal open."""
    if channel_for().opened is not None:
        _note(os.getpid(), 0)


def _note(pid: int, number: int) -> None:
    ticks, now = identity.start_ticks(pid), time.time_ns()
    channel_for().open().signal(pid, ticks, number, APPLICATION, 0, now)
