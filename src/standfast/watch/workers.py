"""The workers whose journals are being read, and where reading goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, update
from sqlalchemy import delete as delete_rows

from standfast.errors import StandfastError
from standfast.journal.reader import Record, SegmentReader
from standfast.store.tables import OPEN, request, worker

from .bounds import MOST
from .folder import WorkerFiles, delete, open_segment
from .liveness import Process
from .source import Source

#: Columns of ``worker`` that change as its journal is read.
_PROGRESS = ("last_seen_ns", "lost", "read_segment", "read_offset", "damaged", "damaged_bytes")


class Overtaken(StandfastError):
    """Somebody else has stored what this watcher was about to store."""


@dataclass
class Worker:
    """One worker's journal being read: the state that ``store`` writes down.

    All segments below ``read_segment`` have been read to their end; of that one, everything
    before ``read_offset`` has.
    """

    source: Source
    process: Process
    files: WorkerFiles
    read_segment: int
    read_offset: int
    lost: int
    damaged: int
    damaged_bytes: int
    dead: bool = False
    #: It names a process of another user, into which nobody looks for it.
    foreign: bool = False
    changed: bool = False
    #: Up to when (ns) requests may have ended in a segment that had to give way unread, see
    #: ``journal.limit``: every request in it had ended well, and no more is known of them.
    unread_ns: int = 0
    #: The responses that were complete, as the newest segment said before it was read last.
    answers: list[Record] = field(default_factory=list)
    _reader: SegmentReader | None = None
    _stored: tuple[int, int] = (0, 0)
    _stored_left_out: int = 0

    def __post_init__(self) -> None:
        self._stored = (self.read_segment, self.read_offset)
        self._stored_left_out = self.source.left_out

    def read(self, limit: int, set_aside: Callable[[Path, str], None]) -> tuple[list[Record], int]:
        """The next records and how many bytes of journal they took; 0 when there is no more.

        ``set_aside`` is told of files that cannot be read, and why. Raises OSError where the
        disk refuses.
        """
        while True:
            reader = self._reader or self._open_next(set_aside)
            if reader is None:
                if self.dead and not self.files.numbers:
                    self._miss(MOST)
                return [], 0
            damaged, damaged_bytes = reader.damaged, reader.damaged_bytes
            self.answers = reader.answers()
            records = reader.read(limit, final=self.dead)
            # Nobody writes any more into a segment that has a successor.
            if reader.offset == self.read_offset and not reader.ended and self._has_successor():
                records = reader.read(limit, final=True)
            self.damaged += reader.damaged - damaged
            self.damaged_bytes += reader.damaged_bytes - damaged_bytes
            taken = reader.offset - self.read_offset
            self.read_offset = reader.offset
            self.lost = min(max(self.lost, reader.lost()), MOST) if taken else self.lost
            if reader.ended:
                self.close()
                self.read_segment += 1
                self.read_offset = 0
            self.changed = self.changed or bool(taken) or self._reader is None
            if taken or self._reader is not None:
                return records, taken

    def close(self) -> None:
        """Closes the segment that is being read, if any."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def bytes_left(self) -> int:
        """How much of the files there are has not been read, in bytes."""
        size = -self.read_offset
        for number in self.files.numbers:
            if number >= self.read_segment:
                with suppress(OSError):
                    size += self.files.segment(number).stat().st_size
        return max(size, 0)

    def store(self, connection: Connection) -> None:
        """Writes down how far reading has come. Raises Overtaken where the store is not where
        this watcher had left it: the lock of the folder may be lost, the count must not be."""
        progress = {name: getattr(self, name) for name in _PROGRESS if name != "last_seen_ns"}
        segment, offset = self._stored
        done = connection.execute(
            update(worker)
            .where(
                worker.c.id == self.source.worker_id,
                worker.c.read_segment == segment,
                worker.c.read_offset == offset,
            )
            .values(
                last_seen_ns=self.source.last_seen_ns,
                # Added, as `standfast forget` counts here too.
                left_out=worker.c.left_out + self.source.left_out - self._stored_left_out,
                **progress,
            )
        )
        if done.rowcount != 1:
            raise Overtaken(
                f"{self.files.folder}: another watcher reads these journals into the same store;"
                " nothing is counted twice, but one watcher is enough"
            )
        if self.unread_ns:
            connection.execute(
                delete_rows(request).where(
                    request.c.worker_id == self.source.worker_id,
                    request.c.outcome == OPEN,
                    ~request.c.aborted,
                    request.c.begun_ns < self.unread_ns,
                )
            )

    def stored(self) -> None:
        """To be called when what ``store`` wrote has been committed."""
        self._stored = (self.read_segment, self.read_offset)
        self._stored_left_out = self.source.left_out
        self.unread_ns = 0
        self.changed = False

    def delete_read(self, warn: Callable[[str], None], *, buried: bool) -> None:
        """Deletes the segments that have been read to their end; call it after the commit.

        Until the worker is ``buried``, one sound file stays: without any, a watcher that starts
        anew would not know of a death to conclude. A file that is not what its name says was
        not read, and stays.
        """
        read = [number for number in self.files.numbers if number < self.read_segment]
        if not buried and self._reader is None:
            read = read[:-1]
        for number in read:
            segment = open_segment(self.files, number)
            if isinstance(segment, SegmentReader):
                segment.close()
                if delete(self.files.segment(number), warn):
                    self.files.numbers.remove(number)

    def _miss(self, until_ns: int) -> None:
        for seq in [seq for seq, begin in self.source.open.items() if begin[0] < until_ns]:
            del self.source.open[seq]
        self.unread_ns = max(self.unread_ns, min(until_ns, MOST))
        self.changed = True

    def _may_speak(self, owner: int) -> bool:
        """Root may have given up its rights between two segments, and may write where it likes."""
        return owner in (0, self.process.owner) or self.process.owner == 0

    def _has_successor(self) -> bool:
        for number in self.files.numbers:
            if number > self.read_segment:
                segment = open_segment(self.files, number)
                if isinstance(segment, SegmentReader):
                    segment.close()
                    return True
        return False

    def _open_next(self, set_aside: Callable[[Path, str], None]) -> SegmentReader | None:
        wanted = self.read_segment
        while (number := self.files.next_segment(wanted)) is not None:
            offset = self.read_offset if number == self.read_segment else 0
            segment = open_segment(self.files, number, offset)
            if isinstance(segment, SegmentReader) and not self._may_speak(segment.owner):
                segment.close()
                segment = f"belongs to user {segment.owner}, and the journal to another"
            if isinstance(segment, SegmentReader):
                self._reader = segment
                if number > wanted and segment.header is not None:
                    self._miss(segment.header.wall_ns)
                self.read_segment, self.read_offset = number, segment.offset
                return segment
            set_aside(self.files.segment(number), segment)
            wanted = number + 1
        return None
