"""Workers that have started and have not loaded their application, by the files they leave.

Such a file is its owner's word, as a journal is: it counts for a process of the same user.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from standfast.journal import files, identity

#: A worker that takes longer than this to load is worth a word, in seconds.
LONG_S = 60.0
#: What the dead have left is removed when it is so old: their master's word may be read late.
_KEPT_S = 600.0


class Loading(NamedTuple):
    """A living worker that has not loaded its application for ``age_s``."""

    app: str
    pid: int
    age_s: float

    @property
    def words(self) -> str:
        """``worker 17 of shop started 75 s ago and has not loaded its application``."""
        return (
            f"worker {self.pid} of {self.app} started {self.age_s:.0f} s ago and has not loaded"
            " its application"
        )


def loading(journal: str) -> list[Loading]:
    """The workers that load at this moment, the longest first."""
    found = []
    for path, uid in _left(journal):
        pid = int(uid.partition("-")[0])
        with suppress(OSError):
            status = path.lstat()
            if _is_alive(uid) and status.st_uid in (0, Path(f"/proc/{pid}").stat().st_uid):
                age_s = max(time.time() - status.st_mtime, 0.0)
                found.append(Loading(unquote(path.parent.name), pid, age_s))
    return sorted(found, key=lambda one: -one.age_s)


def was_loading(journal: str, app: str, uid: str) -> bool:
    """Whether this dead worker had not come to the end of loading."""
    return os.path.lexists(Path(files.app_folder(journal, app), uid + files.LOADING_SUFFIX))


def sweep(journal: str, settled: Collection[str]) -> None:
    """Removes what the dead have left: those that are ``settled``, and all when they are old."""
    for path, uid in _left(journal):
        with suppress(OSError):
            is_old = path.lstat().st_mtime < time.time() - _KEPT_S
            if uid in settled or (is_old and not _is_alive(uid)):
                path.unlink()


def _left(journal: str) -> Iterator[tuple[Path, str]]:
    for path in Path(journal).glob(f"[!.]*/*{files.LOADING_SUFFIX}"):
        uid = path.name.removesuffix(files.LOADING_SUFFIX)
        if uid.partition("-")[0].isdecimal() and len(uid) < 20 and not path.parent.is_symlink():
            yield path, uid


def _is_alive(uid: str) -> bool:
    """Whether the process of that pid is the one that is meant."""
    pid = int(uid.partition("-")[0])
    ticks = identity.start_ticks(pid)
    return uid == identity.worker_uid(os.uname().nodename, identity.boot_id(), pid, ticks)
