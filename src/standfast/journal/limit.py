"""The upper bound of one application's journals, and what gives way when it is reached.

A watcher deletes what it has stored. Where there is none, or its store is away, journals would
fill the disk that the application lives on. So a writer that needs another segment makes room
first: the oldest segments give way in which every request has ended well. What is unfinished or
failed stays, and where that leaves no room, the writer gets none.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import NamedTuple, Optional

from . import files, identity
from .format import HEADER_LIMIT, unpack_header
from .ordinary import Inspection, bytes_of, inspect

#: What the journals of an application may take where nobody says otherwise: a tenth of the file
#: system, within these bounds, in bytes.
SHARE = 10
LEAST = 64 * 1024 * 1024
MOST = 2 * 1024 * 1024 * 1024
_SIZE = re.compile(r"\s*([0-9]{1,15})\s*([KMGT]?)\s*", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def parse_size(text: str) -> int:
    """Bytes from a number, or one followed by K, M, G or T (powers of 1024, as in systemd).

    Raises ValueError for any other text, and for 0.
    """
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if not size:
        raise ValueError("a size above 0 such as 500M or 2G")
    return size


def default_limit(folder: str) -> int:
    """A tenth of the file system of ``folder``, at least 64 MiB and at most 2 GiB."""
    system = os.statvfs(folder)
    return min(max(system.f_blocks * system.f_frsize // SHARE, LEAST), MOST)


class _File(NamedTuple):
    name: str
    uid: str
    number: int
    changed_ns: int


class _Looking(NamedTuple):
    """A segment that may have to go, on its way to be known."""

    file: _File
    inspection: Inspection


class Room:
    """Keeps the files of one application's folder within a limit.

    To find out whether a segment may go takes 100 ms, and a request waits for it. So that is done a
    piece at a time: ahead, by ``look_ahead``, and what is left of it when the room is needed.
    """

    def __init__(self, folder: str, limit: int = 0) -> None:
        """``limit`` is in bytes, 0 for the default."""
        self._folder = folder
        self._limit = limit
        #: Segments that were read and have to stay.
        self._needed: set[str] = set()
        self._looking: Optional[_Looking] = None
        #: The segment that may go, and how many requests are in it.
        self._ready: Optional[tuple[_File, int]] = None
        self._given_up = 0
        self._is_tight = False

    def make(self, size: int, pieces: int = 1) -> int:
        """Sees to it that ``size`` more bytes are within the limit.

        How many recorded requests were given up for it. Raises OSError where too little can be;
        with EAGAIN where it is not known yet, after a look at so many ``pieces``.
        """
        files.make_app_folder(self._folder)
        limit = self._limit or default_limit(self._folder)
        taken, segments = self._look()
        while taken + size > limit:
            if self._ready is None:
                may_go = pieces > 0 and self._look_further(segments)
                pieces -= 1
                if not may_go:
                    raise OSError(
                        errno.EAGAIN if self._looking else errno.ENOSPC,
                        f"the journals of this application have reached their limit of {limit}"
                        " bytes (journal_limit); is `standfast watch` running?",
                        self._folder,
                    )
                continue
            (file, requests), self._ready = self._ready, None
            # A watcher, or another worker, may have been quicker.
            if any(first.name == file.name for first in segments.get(file.uid, [])[:1]):
                self._delete(file, segments)
                self._given_up += requests
                taken, segments = self._look()
        self._is_tight = taken + 2 * size > limit
        given_up, self._given_up = self._given_up, 0
        return given_up

    def look_ahead(self) -> None:
        """Looks at one piece of what will have to go next, if something will. Never raises."""
        if self._is_tight and self._ready is None:
            try:
                more = self._look_further({} if self._looking else self._look()[1])
            except OSError:
                more = False
            if not more:  # whoever needs the room will hear of it
                self._is_tight = False

    def _look_further(self, segments: dict[str, list[_File]]) -> bool:
        """Looks at one piece; False where nothing is left that may go."""
        if self._looking is None:
            file = self._candidate(segments)
            if file is None:
                return False
            is_only = len(segments[file.uid]) == 1
            following = None if is_only else self._path(segments[file.uid][1].name)
            if is_only and self._has_fault(file.uid):
                self._needed.add(file.name)
                return True
            self._looking = _Looking(file, inspect(self._path(file.name), following))
        try:
            next(self._looking.inspection)
        except StopIteration as found:
            file, self._looking = self._looking.file, None
            if found.value is None:
                self._needed.add(file.name)
            else:
                self._ready = file, found.value
        except BaseException:  # of a signal handler of the application: begun again
            self._looking = None
            raise
        return True

    def _look(self) -> tuple[int, dict[str, list[_File]]]:
        """What the folder takes in bytes, and each worker's segments, the oldest first."""
        taken = 0
        segments: dict[str, list[_File]] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # stored and deleted meanwhile
                    continue
                if not stat.S_ISREG(found.st_mode):
                    continue
                taken += found.st_blocks * 512
                parsed = files.parse_segment_name(entry.name)
                if parsed:
                    file = _File(entry.name, *parsed, found.st_mtime_ns)
                    segments.setdefault(parsed[0], []).append(file)
        for of_worker in segments.values():
            of_worker.sort(key=lambda file: file.number)
        return taken, segments

    def _candidate(self, segments: dict[str, list[_File]]) -> Optional[_File]:
        """The segment that goes next: of the dead before those that the living have filled.

        Only a worker's oldest segment ever goes: without it, a later one holds ends at most that
        close nothing, and no request looks as if it had never ended.
        """
        first = [(of_worker[0], len(of_worker) == 1) for of_worker in segments.values()]
        first = [pair for pair in first if pair[0].name not in self._needed]
        first.sort(key=lambda pair: pair[0].changed_ns)
        filled = None
        for file, is_newest in first:
            if self._is_dead(file):
                return file
            if not is_newest:
                filled = filled or file
        return filled

    def _is_dead(self, file: _File) -> bool:
        """Whether the worker is known to be dead: one in another namespace is not."""
        header = unpack_header(bytes_of(self._path(file.name), HEADER_LIMIT))
        if header is None or header.host != os.uname().nodename:
            return False
        if header.boot_id != identity.boot_id():
            return bool(header.boot_id)
        same = header.pid_namespace == identity.pid_namespace()
        return same and identity.start_ticks(header.pid) != header.start_ticks

    def _has_fault(self, uid: str) -> bool:
        try:
            return os.stat(self._path(uid + files.FAULT_SUFFIX)).st_size > 0
        except OSError:
            return False

    def _delete(self, file: _File, segments: dict[str, list[_File]]) -> None:
        names = [file.name]
        if len(segments[file.uid]) == 1:
            names.append(file.uid + files.FAULT_SUFFIX)
        for name in names:
            try:
                os.unlink(self._path(name))
            except FileNotFoundError:  # another worker, or a watcher, was quicker
                pass

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)
