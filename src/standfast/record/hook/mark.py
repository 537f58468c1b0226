"""The file by which ``standfast run`` knows what the hook has met: it goes when a server is met."""

from __future__ import annotations

import os

#: Where the file is, while nothing is recorded yet.
_VARIABLE = "STANDFAST_MARK"


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
        except OSError:
            pass  # another worker was first
