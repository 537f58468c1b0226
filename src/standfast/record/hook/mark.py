"""The file by which ``standfast run`` knows what the hook has met: it goes when a server is met."""

from __future__ import annotations

import os

#: Where the file is, while nothing is recorded yet.
_VARIABLE = "STANDFAST_MARK"
#: What is in it where it could not be removed; no server is called so.
REACHED = "=reached"


def seen(name: str) -> None:
    """Notes that a server of this name has been imported, and has not loaded an application."""
    mark = os.environ.get(_VARIABLE, "")
    if mark:
        try:
            fd = os.open(mark, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            os.write(fd, f"{name}\n".encode())
            os.close(fd)
        except OSError:
            pass  # a worker has met its application already


def reached() -> None:
    """Tells ``standfast run``, which waits for it, that a server has loaded its application."""
    mark = os.environ.pop(_VARIABLE, "")
    if mark:
        try:
            os.unlink(mark)
        except PermissionError:
            _say_reached(mark)
        except OSError:
            pass  # another worker was first


def _say_reached(mark: str) -> None:
    """In the file: in a folder for all users, a worker of another user may not remove it."""
    try:
        fd = os.open(mark, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.write(fd, f"\n{REACHED}\n".encode())
        os.close(fd)
    except OSError:
        pass
