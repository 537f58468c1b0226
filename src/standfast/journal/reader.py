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
    ANSWER,
    BEGIN,
    END,
    END_FIXED,
    EXIT,
    HEAD,
    HEADER_LIMIT,
    LOST_OFFSET,
    PROGRESS,
    RECORD_LIMIT,
    ROLL,
    ROUTE,
    RUNNING,
    SEGMENT_LIMIT,
    SIGNAL,
    UNKNOWN,
    Header,
    unpack_header,
)

#: How many bytes a search for the next whole record may put through the checksum, for each byte
#: that it searches. Random bytes need 96: one place in eight, of these one in 43 with a known
#: type, and then half of the largest record.
_SEARCH_COST = 128
_TYPE = re.compile(b"[%c%c%c%c%c%c%c]" % (BEGIN, END, EXIT, SIGNAL, PROGRESS, ROUTE, ROLL))
#: What stands where a record is to come; its checksum may be there already.
_NOTHING_YET = (b"", bytes(4))
_checksum = zlib.adler32


#: A whole record: its type, its flags and its body (see ``format.unpack_*``). A plain tuple:
#: making a named one would cost as much as checking the record.
Record = tuple[int, int, bytes]


class SegmentReader:
    """Reads one segment from an offset on, as far as it has been written.

    ``header`` is None where the file does not start with a sound one; nothing is read then.
    ``offset`` is where the next reading goes on, ``ended`` says that the writer has finished
    this segment, ``damaged`` counts the stretches and ``damaged_bytes`` the bytes passed over.
    ``owner`` is the user to whom the file belongs: what it says is that user's word.
    """

    def __init__(self, path: str, offset: int = 0) -> None:
        """Opens a regular file. Raises OSError where there is none that may be read."""
        # A journal folder may belong to another user: follow no link, wait for no pipe.
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(22, "not a regular file", path)
        self.owner = status.st_uid
        self.header: Optional[Header] = unpack_header(os.pread(self._fd, HEADER_LIMIT, 0))
        self.offset = max(offset, self.header.records_at) if self.header else 0
        self.ended = False
        self.damaged = 0
        self.damaged_bytes = 0
        self._in_damage = False
        self._zeros = 0

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

    def answers(self) -> list[Record]:
        """What the places for answers say, each as an end record with the flag RUNNING.

        It may be of a request that has an end record by now. Ask before ``read``: then a request
        whose end is not found by that was open when it was asked.
        """
        if self.header is None or not self.header.answers:
            return []
        size = self.header.answers * ANSWER.size
        first = os.pread(self._fd, size, self.header.size)
        if not first.strip(b"\0"):
            return []
        # The writer may be at work in a place: what two readings agree on is whole.
        again = os.pread(self._fd, len(first), self.header.size)
        size = min(len(first), len(again)) // ANSWER.size * ANSWER.size
        both = zip(ANSWER.iter_unpack(first[:size]), ANSWER.iter_unpack(again[:size]))
        return [_answer(*one) for one, other in both if one == other and one[-1]]

    def read(self, limit: int = 1024 * 1024, *, final: bool = False) -> list[Record]:
        """The records of about the next ``limit`` bytes; an empty list when there are none yet.

        ``final`` says that nobody writes here any more: then what is torn is counted as damage
        instead of being waited for. Reading is over when ``ended`` is true.
        """
        while self.header is not None and not self.ended:
            # While a writer is at work, only what follows a head that was seen counts: a copy
            # made meanwhile may lack a head and hold the record behind it.
            if not final and os.pread(self._fd, 4, self.offset) in _NOTHING_YET:
                break
            left = SEGMENT_LIMIT - self.offset
            size = min(max(limit, 2 * RECORD_LIMIT), left)
            data = os.pread(self._fd, size, self.offset) if size > 0 else b""
            at_end = len(data) < size or size == left
            records: list[Record] = []
            used = self._whole_records(data, records)
            if used:
                self.offset += used
                self._zeros = 0
                self._in_damage = False
                return records
            if not final and at_end and int.from_bytes(data[:2], "little") > len(data):
                break  # an append that is still on its way
            found = self._search(data)
            if found:
                self._pass_over(found, found)
                continue
            if final:
                # A record may begin near the end of what was read and be whole further on.
                seen = len(data) if at_end else (len(data) - RECORD_LIMIT) & -8
                self._pass_over(seen, len(data[:seen].rstrip(b"\0")))
                self.ended = at_end
                if at_end:
                    self._count_what_lies_behind()
            break
        return []

    def _count_what_lies_behind(self) -> None:
        """What a writer that never rolls wrote behind the limit of a segment is not read: at least
        it is not passed over in silence."""
        try:
            os.lseek(self._fd, SEGMENT_LIMIT, os.SEEK_DATA)  # ENXIO where there is none
            behind = os.fstat(self._fd).st_size - SEGMENT_LIMIT
        except OSError:
            return
        self.damaged += not self._in_damage
        self.damaged_bytes += behind
        self._in_damage = True

    def _whole_records(self, data: bytes, records: list[Record]) -> int:
        """Appends the records that follow one another from the start; how many bytes they took."""
        at = 0
        length = len(data)
        unpack, checksum_of, append = HEAD.unpack_from, _checksum, records.append
        while at <= length - 8:
            size, kind, checksum = unpack(data, at)
            end = at + size
            body = data[at + 8 : end]
            if size < 8 or end > length or checksum_of(body, kind << 16 | 1) != checksum:
                break
            at = (end + 7) & -8
            if kind & 0xFF == ROLL:
                self.ended = True
                break
            append((kind & 0xFF, kind >> 8, body))
        return at

    def _search(self, data: bytes) -> int:
        """How far into ``data`` the next whole record of a known type lies, or 0."""
        if data == bytes(len(data)):  # the free end of a segment, mostly: a hundred times as quick
            return 0
        budget = _SEARCH_COST * len(data)
        for match in _TYPE.finditer(data, HEAD.size + 2, len(data) - 5):
            at = match.start() - 2
            if at & 7:
                continue
            size, kind, checksum = HEAD.unpack_from(data, at)
            if 8 <= size <= len(data) - at:
                budget -= size
                if budget < 0:
                    break
                if _checksum(data[at + 8 : at + size], kind << 16 | 1) == checksum:
                    return at
        return 0

    def _pass_over(self, size: int, damaged: int) -> None:
        """Goes on behind ``size`` bytes. Zeros behind the ``damaged`` ones may be the free end of
        the segment, and are damage only if something follows them."""
        self.offset += size
        if damaged:
            self.damaged += not self._in_damage
            self.damaged_bytes += self._zeros + damaged
            self._in_damage = True
            self._zeros = 0
        self._zeros += size - damaged


def _answer(duration_ns: int, sent: int, status: int, seq: int) -> Record:
    fixed = END_FIXED.pack(seq, duration_ns, UNKNOWN, sent, min(status, 0xFFFF), 0)
    return END, RUNNING, fixed
