"""The reader of a segment. It trusts no byte and never raises for what a file holds.

Whatever the file is (whole, torn, cut short, overwritten, hostile), the reader gives the records
that are whole, counts what it had to pass over, and does a bounded amount of work.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from types import TracebackType
from typing import Optional

from .format import (
    HEAD,
    HEADER_LIMIT,
    LOST_OFFSET,
    RECORD_LIMIT,
    ROLL,
    SEGMENT_LIMIT,
    Header,
    unpack_header,
)

#: How many bytes one search for the next whole record may put through the checksum.
_SEARCH_BUDGET = 16 * 1024 * 1024
_NOT_ZERO = re.compile(rb"[^\0]")
_NOTHING_YET = (b"", bytes(HEAD.size))
_checksum = zlib.adler32


#: A whole record: its type, its flags and its body (see ``format.unpack_*``). A plain tuple:
#: making a named one would cost as much as checking the record.
Record = tuple[int, int, bytes]


class SegmentReader:
    """Reads one segment from an offset on, as far as it has been written.

    ``header`` is None where the file does not start with a sound one; nothing is read then.
    ``offset`` is where the next reading goes on, ``ended`` says that the writer has finished
    this segment, ``damaged`` counts the stretches and ``damaged_bytes`` the bytes passed over.
    """

    def __init__(self, path: str, offset: int = 0) -> None:
        """Opens a regular file. Raises OSError where there is none that may be read."""
        # A journal folder may belong to another user: follow no link, wait for no pipe.
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(22, "not a regular file", path)
        self.header: Optional[Header] = unpack_header(os.pread(self._fd, HEADER_LIMIT, 0))
        self.offset = max(offset, self.header.size) if self.header else 0
        self.ended = False
        self.damaged = 0
        self.damaged_bytes = 0
        self._damage_ends = -1

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def lost(self) -> int:
        """How many requests the worker could not record, by now."""
        return int.from_bytes(os.pread(self._fd, 8, LOST_OFFSET), "little")

    def read(self, limit: int = 1024 * 1024, *, final: bool = False) -> list[Record]:
        """The records of about the next ``limit`` bytes; an empty list when there are none yet.

        ``final`` says that nobody writes here any more: then what is torn is counted as damage
        instead of being waited for. Reading is over when ``ended`` is true.
        """
        if self.header is None or self.ended:
            return []
        if not final and os.pread(self._fd, HEAD.size, self.offset) in _NOTHING_YET:
            return []
        left = SEGMENT_LIMIT - self.offset
        size = min(max(limit, 2 * RECORD_LIMIT), left)
        data = os.pread(self._fd, size, self.offset) if size > 0 else b""
        at_end = len(data) < size or size == left
        records: list[Record] = []
        used = self._whole_records(data, records)
        self.offset += used
        rest = data[used:]
        if self.ended or (used and not at_end and len(rest) <= RECORD_LIMIT):
            return records
        found = self._search(rest)
        if found:
            self._pass_over(found, found)
        elif final:
            # A record may begin near the end of what was read and be whole further on.
            seen = len(rest) if at_end else (len(rest) - RECORD_LIMIT) & -8
            self._pass_over(seen, len(rest[:seen].rstrip(b"\0")))
            self.ended = at_end
        return records

    def _whole_records(self, data: bytes, records: list[Record]) -> int:
        """Appends the records that follow one another from the start; how many bytes they took."""
        at = 0
        stop = len(data) - HEAD.size
        unpack, checksum_of, append = HEAD.unpack_from, _checksum, records.append
        while at <= stop:
            size, kind, flags, checksum = unpack(data, at)
            body = data[at + 8 : at + size]
            if size < 8 or len(body) != size - 8 or checksum_of(body) != checksum:
                break
            at += (size + 7) & -8
            if kind == ROLL:
                self.ended = True
                break
            append((kind, flags, body))
        return min(at, len(data))

    def _search(self, data: bytes) -> int:
        """How far into ``data`` the next whole record lies; 0 where there is none."""
        budget = _SEARCH_BUDGET
        at = 8
        while budget > 0:
            # Long stretches of zeros are the rule: they are passed at the speed of C.
            something = _NOT_ZERO.search(data, at)
            if not something:
                return 0
            at = something.start() & -8
            if at > len(data) - HEAD.size:
                return 0
            size, _, _, checksum = HEAD.unpack_from(data, at)
            if 8 <= size <= len(data) - at:
                budget -= size
                if _checksum(data[at + 8 : at + size]) == checksum:
                    return at
            at += 8
        return 0

    def _pass_over(self, size: int, damaged: int) -> None:
        if damaged:
            self.damaged += self.offset != self._damage_ends
            self.damaged_bytes += damaged
            self._damage_ends = self.offset + size
        self.offset += size
