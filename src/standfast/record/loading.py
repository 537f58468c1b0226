"""A file beside the journals that says: this worker has not loaded its application yet.

It is there before any of the application's code runs, and goes when the application is loaded. So
a worker that hangs before its first request is known, whether it lives or was ended.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from ..journal import files
from ..journal.identity import of_this_process
from .errors import safely
from .settings import from_environ

#: Of this process: its pid, and where the file is.
_mine = (0, "")
#: Whether the next child of this process is a worker that will load an application.
_expected = False


def begin() -> None:
    """This process is about to load its application."""
    safely(_begin)


def done() -> None:
    """It has loaded it."""
    safely(_done)


def around(owner: Any, name: str) -> None:
    """The application is loaded by ``owner.name``, in the process that is to serve it."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        begin()
        try:
            result = original(*args, **kwargs)
        except Exception:
            done()  # it has failed, which is not to hang
            raise
        done()
        return result

    setattr(owner, name, call)


def expect(is_worker: bool) -> None:
    """From the next fork on the child is a worker, or is not: what runs there first may hang."""
    global _expected
    _expected = is_worker


def _begin() -> None:
    global _mine
    settings = from_environ()
    folder = files.app_folder(settings.journal, settings.app)
    uid = files.uid_of(of_this_process(settings.app))
    path = os.path.join(folder, uid + files.LOADING_SUFFIX)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    _mine = os.getpid(), path


def _done() -> None:
    global _mine
    (pid, path), _mine = _mine, (0, "")
    if pid == os.getpid():
        os.unlink(path)


def _after_fork() -> None:
    if _expected:
        expect(False)
        begin()


os.register_at_fork(after_in_child=_after_fork)
