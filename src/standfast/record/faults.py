"""The traceback of a fatal signal, written beside the journal by Python's ``faulthandler``.

There is one such handler in a process, and nothing tells whose it is. So after it has been enabled
it is never touched again, as the application may have enabled its own meanwhile: in a child of this
process another file is put behind our descriptor.
"""

from __future__ import annotations

import faulthandler
import os
from errno import EMFILE, ENFILE, ENOMEM
from typing import Optional

from ..journal.files import make_app_folder
from ..journal.identity import refuse_if_short

#: What a process meets that has used up its descriptors or its memory.
SHORT = (EMFILE, ENFILE, ENOMEM)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class FaultFile:
    """The descriptor that the handler writes to, where it is ours."""

    def __init__(self) -> None:
        self._fd = -1
        #: Device and inode behind it: who closes all descriptors may have its number again.
        self._file: Optional[tuple[int, int]] = None

    def open(self, path: str) -> None:
        """From now on a fatal signal's traceback goes to ``path``.

        An application that uses faulthandler itself keeps it as it is. Raises OSError where there
        is no descriptor to spare: the last one is the application's, or the next segment's.
        """
        inherited = self._is_ours()
        if faulthandler.is_enabled() and not inherited:
            return
        try:
            make_app_folder(os.path.dirname(path))
            fd = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            if error.errno in SHORT:
                raise
            return  # the writer meets the same obstacle, and says so
        try:
            refuse_if_short()
        except OSError:
            os.close(fd)
            raise
        if inherited:
            self._put(fd)
        else:
            self._fd, self._file = fd, _file(fd)
            faulthandler.enable(fd)

    def renew(self) -> None:
        """To be called in a child: what it does is not to be read in its parent's file."""
        if self._fd < 0:
            return
        is_ours = self._is_ours()
        if is_ours:
            os.close(self._fd)  # or there may be none to spare
        try:
            if is_ours:
                fd = os.memfd_create("standfast")
                if fd == self._fd:
                    self._file = _file(fd)
                else:
                    self._put(fd)
                return
        except (OSError, AttributeError):
            pass
        # What the handler writes to is not known any more: better none than a wrong one.
        faulthandler.disable()
        self._fd, self._file = -1, None

    def _put(self, fd: int) -> None:
        """Puts a file behind our descriptor; the handler does not notice."""
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        self._file = _file(self._fd)

    def _is_ours(self) -> bool:
        return self._fd >= 0 and _file(self._fd) == self._file


def _file(fd: int) -> Optional[tuple[int, int]]:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
