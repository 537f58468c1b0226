"""What the watcher has set aside, so that one journal cannot keep it from reading the others.

The list lies beside the lock as ``.watch.aside``, for ``doctor``, which is another process. Only
the watcher's own user may write it or read it: it names files of all applications.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_NAME = ".watch.aside"
#: So many are listed: who can make one such file can make a million.
_MOST_LISTED = 1000


class SetAside(NamedTuple):
    """A file or folder that is not read, and why."""

    path: str
    reason: str


class Quarantine:
    """What is set aside now. Nothing is moved or deleted; each start of a watcher tries again."""

    def __init__(self, journal: str, warn: Callable[[str], None]) -> None:
        """``warn`` is told of each once."""
        self._journal = journal
        self._warn = warn
        self._reasons: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        #: What the file says; of a new watcher, whatever the one before it had to say.
        self._written: dict[str, str] | None = None

    def add(self, path: Path, reason: str) -> None:
        """Sets a file or folder aside."""
        if str(path) in self._reasons or len(self._reasons) < _MOST_LISTED:
            self._reasons[str(path)] = reason
        self._warn(f"{path}: {reason}; left alone")

    def note(self, path: Path, what: str) -> None:
        """Lists what somebody should look at, though it is read."""
        if str(path) in self._notes or len(self._notes) < _MOST_LISTED:
            self._notes[str(path)] = what
        self._warn(f"{path}: {what}")

    def discard(self, path: Path) -> None:
        """It is there no more, or can be read after all."""
        self._reasons.pop(str(path), None)

    def save(self) -> None:
        """Writes the list down, where it has changed."""
        for path in [path for path in self._reasons if not os.path.lexists(path)]:
            del self._reasons[path]
        listed = self._notes | self._reasons
        if listed == self._written:
            return
        self._written = listed
        text = json.dumps(sorted(listed.items()))
        place = Path(self._journal, _NAME)
        draft = Path(self._journal, f"{_NAME}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            if not listed:
                place.unlink(missing_ok=True)
                return
            with suppress(FileNotFoundError):
                draft.unlink()  # of an earlier process of this number
            with os.fdopen(os.open(draft, flags, 0o600), "w") as file:
                file.write(text)
            draft.replace(place)
        except OSError as error:
            self._warn(f"{place}: {error.strerror}; doctor cannot name what is set aside")


def set_aside(journal: str) -> list[SetAside]:
    """What the folder's watcher has set aside, at most the first thousand.

    Raises PermissionError where this user may not know.
    """
    try:
        # Without waiting: it may be a FIFO.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(Path(journal, _NAME), flags)
    except PermissionError:
        raise
    except OSError:
        return []
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return []
    with os.fdopen(fd, "rb") as file:
        # In a folder for several users, anybody may make a file of this name.
        if status.st_uid not in (0, os.geteuid(), Path(journal).stat().st_uid):
            return []
        try:
            return [SetAside(str(path), str(why)) for path, why in json.loads(file.read())]
        except (ValueError, TypeError, RecursionError):
            return []
