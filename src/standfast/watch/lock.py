"""One watcher per journal folder.

The folder may belong to several users: the lock file is one that nobody but the watcher's user can
open, for whoever may open a file can lock it. Cleaners of old files may remove it, so the watcher
looks now and then whether it is still the file of that name.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from standfast.errors import StandfastError
from standfast.journal.files import make_folder

LOCK_NAME = ".watch.lock"
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def watching(journal: str) -> Iterator[Callable[[], None]]:
    """Holds the folder's lock. Raises StandfastError where another watcher has it.

    Gives a function to call now and then: it takes the lock again where its file is gone, and
    raises StandfastError where another watcher was faster.
    """
    lock = _Lock(Path(journal))
    try:
        lock.take()
        yield lock.keep
    finally:
        lock.close()


class _Lock:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK_NAME
        self._fd = -1

    def take(self) -> None:
        """Makes the file, if it is not there, and locks it."""
        try:
            make_folder(str(self._folder), for_all=True)
            fd = self._open()
        except OSError as error:
            raise StandfastError(
                f"journal folder {self._folder}: {error.strerror}; run `standfast watch` as the"
                " user that the folder belongs to, or name another folder with --journal"
            ) from None
        # Somebody who only asks (see is_watched) holds the lock for an instant.
        for attempt in range(10):
            if _lock(fd, fcntl.LOCK_EX):
                break
            time.sleep(0.01 * attempt)
        else:
            pid = _pid(fd)
            os.close(fd)
            raise StandfastError(
                f"journal folder {self._folder}: process {pid or 'unknown'} watches it already;"
                " one watcher per folder is enough"
            )
        self.close()
        self._fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)

    def keep(self) -> None:
        """Takes the lock again, if its file is no more the one of that name."""
        try:
            there, ours = self._path.lstat(), os.fstat(self._fd)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        except FileNotFoundError:
            if not self._folder.exists():
                return  # nothing to read, and nothing to lock
        except OSError:
            return
        self.take()

    def close(self) -> None:
        """Gives the lock back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        for _ in range(10):
            try:
                return os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(self._path.lstat().st_mode):
                    self._replace()
                    continue
                fd = os.open(self._path, _FLAGS)
                status = os.fstat(fd)
                if self._is_trusted(status) or self._is_of_an_earlier_version(status):
                    return fd
                # Others could open it and hold its lock, or it is another user's altogether.
                os.close(fd)
                self._replace()
        raise FileExistsError(17, f"{LOCK_NAME} is made by others again and again")

    def _replace(self) -> None:
        """Makes room for a file of ours; a folder is moved aside, with what is in it."""
        try:
            self._path.unlink(missing_ok=True)
        except (IsADirectoryError, PermissionError):
            self._path.rename(self._folder / f"{LOCK_NAME}.{time.time_ns()}")

    def _is_trusted(self, status: os.stat_result) -> bool:
        return self._is_ours(status) and not status.st_mode & 0o077 and status.st_nlink == 1

    def _is_of_an_earlier_version(self, status: os.stat_result) -> bool:
        """Whether a watcher holds it that made it for all to read."""
        holder = _holder(status) if self._is_ours(status) else None
        return holder is not None and _owner(holder) == os.geteuid()

    def _is_ours(self, status: os.stat_result) -> bool:
        trusted = (0, os.geteuid(), self._folder.stat().st_uid)
        return stat.S_ISREG(status.st_mode) and status.st_uid in trusted


def is_watched(journal: str) -> int | None:
    """The pid of the folder's watcher; 0 where there is one that has not said, None for none."""
    path = Path(journal, LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError:
        return _watched_by(path)
    except OSError:
        return None
    try:
        return None if _lock(fd, fcntl.LOCK_SH) else _pid(fd)
    finally:
        os.close(fd)


def _watched_by(path: Path) -> int | None:
    """The same for a user who may not open the file: the kernel tells everybody who holds it."""
    try:
        status = path.lstat()
    except OSError:
        return None
    holder = _holder(status)
    return holder if holder is not None and _owner(holder) in (0, status.st_uid) else None


def _holder(status: os.stat_result) -> int | None:
    """The process that holds a lock of flock(2) on a file (proc(5), /proc/locks).

    By inode alone: the number of the device is another one there on some file systems.
    """
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) == 8 and fields[1] == "FLOCK" and fields[5].endswith(f":{status.st_ino}"):
            return int(fields[4])
    return None


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(fd: int) -> int:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
