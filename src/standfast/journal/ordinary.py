"""Whether a segment holds nothing but requests that have ended well: found out a piece at a time.

Whoever asks has a request waiting, so that no piece may take long.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator
from typing import Optional

from .format import (
    ABORTED,
    BEGIN,
    CANCELLED,
    END,
    END_FIXED,
    EXIT,
    ROLL,
    RUNNING,
    SIGNAL,
    unpack_header,
)

#: How much is looked at between two requests, in bytes: some 2,000 records. A segment has fewer
#: such pieces than stretches, at each of which a writer looks ahead.
PIECE = 192 * 1024
#: Of a record its size, type and flags, and the number of the request; of an end all of it.
_START = struct.Struct("<HBB4xQ")
_END = struct.Struct("<HBBI" + END_FIXED.format[1:])

#: What looks at a piece each time that it is asked, and returns how many requests began in the
#: segment; None where it has to stay.
Inspection = Generator[None, None, Optional[int]]


def inspect(path: str, following: Optional[str]) -> Inspection:
    """Looks for what is worth keeping: a failure, the word of a master, a request that has not
    ended in this segment or the next one (``following``), and what is not sound."""
    opened: set[int] = set()
    count = yield from _walk(path, opened)
    if count is not None and opened and following is not None:
        yield from _walk(following, opened, only_ends=True)
    return None if opened else count


def bytes_of(path: str, size: int, at: int = 0) -> bytes:
    """So many bytes of a regular file, fewer at its end, and none of any other."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, at)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _walk(path: str, opened: set[int], *, only_ends: bool = False) -> Inspection:
    """Enters into ``opened`` what the records of a segment begin, and takes out what they end.

    ``only_ends`` looks for nothing but the ends of ``opened``, and no further than they are.
    """
    offset = count = 0
    data = bytes_of(path, PIECE)
    header = unpack_header(data)
    if header is None:
        return None
    at = header.records_at
    start, end_of, begins, ends = _START.unpack_from, _END.unpack_from, opened.add, opened.discard
    while True:
        last = len(data) - _END.size
        size = 8
        while at <= last:
            size, kind, flags, seq = start(data, at)
            if kind == BEGIN:
                if not only_ends:
                    begins(seq)
                    count += 1
            elif kind == END:
                if not flags & RUNNING:
                    # Text behind the fixed part is an error.
                    failed = flags & ABORTED or size > _END.size or end_of(data, at)[-2] >= 500
                    if failed and not only_ends and not flags & CANCELLED:
                        return None
                    ends(seq)
            elif kind == ROLL or not size:
                size = 0
                break
            elif kind in (EXIT, SIGNAL) and not only_ends:
                return None
            if size < 8:
                return None
            at += size + 7 & -8
        offset += at
        if not size or len(data) < PIECE:
            break
        if only_ends and not opened:
            return count
        yield
        data, at = bytes_of(path, PIECE, offset), 0
    # Behind a roll, or a head of zeros, is nothing; if there is, somebody must look into it.
    offset += 8
    while True:
        data = bytes_of(path, PIECE, offset)
        if data.strip(b"\0"):
            return None
        if len(data) < PIECE:
            return count
        offset += PIECE
        yield
