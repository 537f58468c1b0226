"""The lines that are added to a file, through rotation, and never more than can be taken in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

#: What is read of a file that is already there, and at most at once, in bytes.
_BACKLOG = 256 * 1024
_AT_ONCE = 1024 * 1024
_LINE = 16 * 1024


class Tail:
    """Follows one file by its path: rotated away, cut short or not there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._offset = 0
        self._rest = b""
        self._seen = False
        #: The user to whom the file belongs that was read last.
        self.owner = 0

    def lines(self) -> tuple[list[bytes], bool]:
        """The whole lines added since the last call, and whether they may be older than that.

        Where more was added than fits, the oldest are left out. A line is cut at 16 KiB.
        """
        old = not self._seen
        lines = self._read()
        if self._rotated():
            self.close()
            self._open()
            lines += self._read()
        self._seen = True
        return lines, old

    def close(self) -> None:
        """Lets go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._rest = b""

    def _rotated(self) -> bool:
        try:
            now = self._path.stat()
        except OSError:
            return False
        if self._fd is None:
            return True
        mine = os.fstat(self._fd)
        return (mine.st_dev, mine.st_ino) != (now.st_dev, now.st_ino)

    def _open(self) -> None:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            return
        self.owner = found.st_uid
        # A file that takes the place of one that was followed is new from its start.
        self._fd, self._offset = fd, 0 if self._seen else max(found.st_size - _BACKLOG, 0)
        self._rest = b""

    def _read(self) -> list[bytes]:
        if self._fd is None:
            return []
        try:
            size = os.fstat(self._fd).st_size
            if size < self._offset:
                self._offset, self._rest = 0, b""
            elif size - self._offset > _AT_ONCE:
                self._offset, self._rest = size - _AT_ONCE, b""
            data = os.pread(self._fd, _AT_ONCE, self._offset)
        except OSError:
            return []
        self._offset += len(data)
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LINE]
        return [line[:_LINE] for line in whole]
