"""One watcher per journal folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standfast.errors import StandfastError

_NAME = ".watch.lock"


@contextmanager
def watching(journal: str) -> Iterator[None]:
    """Holds the folder's lock. Raises StandfastError where another watcher has it."""
    path = Path(journal, _NAME)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, flags, 0o644)
    except OSError as error:
        raise StandfastError(
            f"journal folder {journal}: {error.strerror}; run `standfast watch` as the user that"
            " the folder belongs to, or name another folder with --journal"
        ) from None
    try:
        # Somebody who only asks (see is_watched) holds the lock for an instant.
        for attempt in range(10):
            if _lock(fd, fcntl.LOCK_EX):
                break
            time.sleep(0.01 * attempt)
        else:
            raise StandfastError(
                f"journal folder {journal}: process {_pid(fd) or 'unknown'} watches it already;"
                " one watcher per folder is enough"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(fd)


def is_watched(journal: str) -> int | None:
    """The pid of the folder's watcher; 0 where there is one that has not said, None for none."""
    try:
        fd = os.open(Path(journal, _NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return None if _lock(fd, fcntl.LOCK_SH) else _pid(fd)
    finally:
        os.close(fd)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
