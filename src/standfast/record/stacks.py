"""What every thread is doing, written beside the journal when a watcher asks for it by a signal.

The watcher asks a worker of which a request does not come to its end. The answer needs no thread
and no turn of the interpreter, so it comes from a deadlock and from C code too.
"""

from __future__ import annotations

import faulthandler
import os
from importlib import import_module

from ..journal.files import STACK_SIGNAL

_fd = -1


def answer(path: str) -> None:
    """From now on ``STACK_SIGNAL`` has the stacks of all threads appended to the file ``path``.

    Does nothing in a subinterpreter, whose end the handler would outlive, nor where the
    application has a use of its own for the signal. One application of a process is enough.
    May raise anything where the system or the interpreter cannot do it.
    """
    global _fd
    if _fd >= 0 or not _in_main_interpreter() or not _is_unused(STACK_SIGNAL):
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        faulthandler.register(STACK_SIGNAL, file=fd, all_threads=True, chain=False)
    except Exception:
        os.close(fd)
        os.unlink(path)
        raise
    _fd = fd


def renew() -> None:
    """Called in a child after a fork: the parent's file is not the child's."""
    global _fd
    if _fd >= 0:
        faulthandler.unregister(STACK_SIGNAL)
        os.close(_fd)
        _fd = -1


def _in_main_interpreter() -> bool:
    try:
        return bool(import_module("_thread")._is_main_interpreter())  # Python 3.12 and later
    except AttributeError:
        interpreters = import_module("_xxsubinterpreters")
        return bool(interpreters.get_current() == interpreters.get_main())


def _is_unused(number: int) -> bool:
    """Whether the signal has no handler and is not ignored, from whatever language (proc(5))."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith((b"SigCgt:", b"SigIgn:")) and int(line[7:], 16) >> number - 1 & 1:
                return False
    return True
