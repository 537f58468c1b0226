"""The upper bound of one application's journals, and what gives way when it is reached.

A watcher deletes what it has stored. Where there is none, or its store is away, journals would
fill the disk that the application lives on. So a writer that needs another segment makes room
first: the oldest segments give way in which every request has ended well. What is unfinished or
failed stays, and where that leaves no room, the writer gets none.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from typing import NamedTuple, Optional

from . import files, identity
from .format import (
    ABORTED,
    BEGIN,
    CANCELLED,
    END,
    END_FIXED,
    EXIT,
    HEADER_LIMIT,
    ROLL,
    RUNNING,
    SEGMENT_LIMIT,
    SIGNAL,
    unpack_header,
)

#: What the journals of an application may take where nobody says otherwise: a tenth of the file
#: system, within these bounds, in bytes.
SHARE = 10
LEAST = 64 * 1024 * 1024
MOST = 2 * 1024 * 1024 * 1024
#: How many segments one call reads at most, as a request waits for it.
_LOOKS = 2
_SIZE = re.compile(r"\s*([0-9]{1,15})\s*([KMGT]?)\s*", re.IGNORECASE)
_NO_ROOM = 28
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
#: Of a record its size, type and flags, and the number of the request; of an end all of it.
_START = struct.Struct("<HBB4xQ")
_END = struct.Struct("<HBBI" + END_FIXED.format[1:])


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


class Room:
    """Keeps the files of one application's folder within a limit."""

    def __init__(self, folder: str, limit: int = 0) -> None:
        """``limit`` is in bytes, 0 for the default."""
        self._folder = folder
        self._limit = limit
        #: Segments that were read and have to stay.
        self._needed: set[str] = set()

    def make(self, size: int) -> int:
        """Sees to it that ``size`` more bytes are within the limit.

        How many recorded requests were given up for it. Raises OSError where too little can be.
        """
        files.make_app_folder(self._folder)
        limit = self._limit or default_limit(self._folder)
        taken, segments = self._look()
        given_up = 0
        looks = _LOOKS
        while taken + size > limit:
            found = self._candidate(segments)
            if found is None or not looks:
                raise OSError(
                    _NO_ROOM,
                    f"the journals of this application have reached their limit of {limit} bytes"
                    " (journal_limit); is `standfast watch` running?",
                    self._folder,
                )
            looks -= 1
            requests = self._requests_of_no_interest(found, segments)
            if requests is None:
                self._needed.add(found.name)
            else:
                self._delete(found, segments)
                given_up += requests
                taken, segments = self._look()
        return given_up

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
        header = unpack_header(_bytes_of(os.path.join(self._folder, file.name), HEADER_LIMIT))
        if header is None or header.host != os.uname().nodename:
            return False
        if header.boot_id != identity.boot_id():
            return bool(header.boot_id)
        same = header.pid_namespace == identity.pid_namespace()
        return same and identity.start_ticks(header.pid) != header.start_ticks

    def _requests_of_no_interest(
        self, file: _File, segments: dict[str, list[_File]]
    ) -> Optional[int]:
        """How many requests began in the segment, if all of them ended well and it says nothing
        else; None where it has to stay."""
        if self._has_fault(file.uid) and len(segments[file.uid]) == 1:
            return None
        opened: set[int] = set()
        count = _walk(_bytes_of(os.path.join(self._folder, file.name), SEGMENT_LIMIT), opened)
        if count is not None and opened and len(segments[file.uid]) > 1:
            following = segments[file.uid][1]
            data = _bytes_of(os.path.join(self._folder, following.name), SEGMENT_LIMIT)
            _walk(data, opened, only_ends=True)
        return None if opened else count

    def _has_fault(self, uid: str) -> bool:
        try:
            return os.stat(os.path.join(self._folder, uid + files.FAULT_SUFFIX)).st_size > 0
        except OSError:
            return False

    def _delete(self, file: _File, segments: dict[str, list[_File]]) -> None:
        names = [file.name]
        if len(segments[file.uid]) == 1:
            names.append(file.uid + files.FAULT_SUFFIX)
        for name in names:
            try:
                os.unlink(os.path.join(self._folder, name))
            except FileNotFoundError:  # another worker, or a watcher, was quicker
                pass


def _bytes_of(path: str, size: int) -> bytes:
    """The first bytes of a regular file, and none of any other."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, 0)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _walk(data: bytes, opened: set[int], *, only_ends: bool = False) -> Optional[int]:
    """Enters into ``opened`` what the records of a segment begin, and takes out what they end.

    How many began; None where a record is worth keeping (a failure, the word of a master) or
    where the segment is not sound. ``only_ends`` looks for nothing but the ends of ``opened``.
    """
    header = unpack_header(data)
    if header is None:
        return None
    at, last, count = header.size, len(data) - _END.size, 0
    start, end_of, begins, ends = _START.unpack_from, _END.unpack_from, opened.add, opened.discard
    while at <= last:
        size, kind, flags, seq = start(data, at)
        if kind == BEGIN:
            if not only_ends:
                begins(seq)
                count += 1
        elif kind == END:
            if not flags & RUNNING:
                # Text behind the fixed part is an error.
                failed = flags & ABORTED or size > _END.size or end_of(data, at)[-1] >= 500
                if failed and not only_ends and not flags & CANCELLED:
                    return None
                ends(seq)
        elif kind == ROLL or not size:
            break
        elif kind in (EXIT, SIGNAL) and not only_ends:
            return None
        if size < 8:
            return None
        at += size + 7 & -8
    # Behind a roll, or a head of zeros, is nothing; if there is, somebody must look into it.
    return None if data[at + 8 :].strip(b"\0") else count
