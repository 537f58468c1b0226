"""What a pre-forking master does to its children and is told of their deaths, written down.

Nothing here waits: the master is told of its children by whatever stands in the place of
``os.waitpid`` at that moment (gevent and eventlet put functions there that let others run), with
the arguments that it chose itself.
"""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any, Optional
from weakref import WeakKeyDictionary

from ..journal import identity
from ..journal.format import UNRECORDED_EXIT, WORKER_EXIT
from .channel import channel_for
from .errors import safely
from .wrapping import after

#: The children of this process that are there to serve requests, and when each of them started.
workers: dict[int, int] = {}
#: Those of them whose requests no recorder sees.
_unrecorded: set[int] = set()
#: The last signal to each of them, and why.
_signalled: dict[int, tuple[int, int]] = {}


class _Os(ModuleType):
    """``os`` as a module sees it whose children are watched: the same, but for ``waitpid``.

    Every name is looked up when it is used: gevent and eventlet may replace what is in ``os``
    after this was made.
    """

    def __getattribute__(self, name: str) -> Any:
        return waitpid if name == "waitpid" else getattr(os, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(os, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(os, name)


def watch_children(module: ModuleType) -> None:
    """Writes down the status of every worker that ``module`` reaps with ``os.waitpid``.

    Only this module sees the change: it gets an ``os`` of its own.
    """
    module.os = _Os("os")  # type: ignore[attr-defined]


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """``os.waitpid``, and the dead worker's status goes into this process's journal."""
    found: tuple[int, int] = os.waitpid(pid, options)
    safely(_reaped, *found)
    return found


def watch_multiprocessing(module: ModuleType) -> None:
    """``multiprocessing.popen_fork``: every child that is forked or spawned is waited for there."""
    popen = module.Popen
    # When each of them started; that can be read for as long as nobody has waited for it.
    started: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def launched(self: Any, _: None) -> None:
        started[self] = identity.start_ticks(self.pid)

    def polled(self: Any, code: Optional[int]) -> None:
        if code is not None and self in started:
            _note_exit(self.pid, started.pop(self), code)

    after(popen, "__init__", launched)
    after(popen, "poll", polled)


def add_worker(pid: int, *, recorded: bool = True) -> None:
    """From now on this child is one that serves requests. A second call does nothing.

    Not ``recorded`` is one that serves in a way that the recorder does not see.
    """
    if pid not in workers:
        workers[pid] = identity.start_ticks(pid)
        if not recorded:
            _unrecorded.add(pid)


def reason_before(pid: int) -> Optional[int]:
    """Why the last signal to this worker was sent, None where there was none."""
    return _signalled[pid][1] if pid in _signalled else None


def note_signal(pid: int, signal: int, reason: int, timeout_s: float = 0.0) -> None:
    """Writes down that this process is about to send ``signal`` to a worker, to end it.

    Says nothing of a worker that has died by itself meanwhile, nor the same thing twice.
    """
    safely(_note_signal, pid, signal, reason, timeout_s)


def _note_signal(pid: int, signal: int, reason: int, timeout_s: float) -> None:
    if pid not in workers or _signalled.get(pid) == (signal, reason):
        return
    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
        return
    _signalled[pid] = (signal, reason)
    timeout_ns = int(timeout_s * 1e9)
    channel_for().open().signal(pid, workers[pid], signal, reason, timeout_ns, time.time_ns())


def _reaped(pid: int, status: int) -> None:
    if pid in workers and not os.WIFSTOPPED(status) and not os.WIFCONTINUED(status):
        _note_exit(pid, workers[pid], os.waitstatus_to_exitcode(status))


def _note_exit(pid: int, start_ticks: int, code: int) -> None:
    flags = WORKER_EXIT if workers.pop(pid, None) is not None else 0
    if pid in _unrecorded:
        _unrecorded.discard(pid)
        flags |= UNRECORDED_EXIT
    _signalled.pop(pid, None)
    channel_for().open().exit(pid, start_ticks, code, time.time_ns(), flags)


def _forget() -> None:
    """In a child: its parent's children are not its own."""
    workers.clear()
    _unrecorded.clear()
    _signalled.clear()


os.register_at_fork(after_in_child=_forget)
