"""What every thread is doing, written beside the journal when a watcher asks for it by a signal.

The answer is given by the main thread, between two steps of Python, when all others stand still.
Not by a handler in C (``faulthandler.register``), which would answer out of C code too: it reads
the frames of threads while they run, and was seen to crash a busy process at every fourth signal.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import Any

from ..journal.files import STACK_SIGNAL

#: Where this process answers: a file for each application.
_paths: list[str] = []


def listen() -> None:
    """Puts the handler in place, unless the application has a use of its own for the signal.

    Does nothing outside of the main thread of the main interpreter, where no handler can be set.
    """
    try:
        if signal.getsignal(STACK_SIGNAL) is signal.SIG_DFL:
            signal.signal(STACK_SIGNAL, _answer)
    except ValueError:
        pass


def answer_in(path: str) -> None:
    """Makes the file, by which a watcher knows that it may ask. Raises OSError."""
    if signal.getsignal(STACK_SIGNAL) is _answer:
        os.close(_open(path))
        _paths.append(path)


def renew() -> None:
    """Called in a child after a fork: the parent's files are not the child's."""
    _paths.clear()


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def _answer(number: int, frame: Any) -> None:
    for path in _paths:
        try:
            fd = _open(path)
            try:
                faulthandler.dump_traceback(fd, all_threads=True)
            finally:
                os.close(fd)
        except Exception:  # the application must go on, whatever is wrong with our file
            pass
