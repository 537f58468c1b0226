"""The writer of a worker: records go into a file mapped into memory.

An ordinary request costs no system call: two copies into the mapped pages and two stores that
make them visible. The kernel keeps what was stored, whatever ends the process.
"""

from __future__ import annotations

import _thread
import mmap
import os
import time
import zlib
from typing import Optional

from . import files
from .format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    EXIT,
    EXIT_FIXED,
    LOST_OFFSET,
    ROLL,
    UNKNOWN,
    Header,
    pack_header,
)
from .identity import Identity

SEGMENT_SIZE = 4 * 1024 * 1024
MIN_SEGMENT_SIZE = 128 * 1024
#: After the disk or the folder refused, how long the writer waits before it asks again.
RETRY_NS = 1_000_000_000
#: Linux 5.14: all pages at once instead of one fault a page on the application's path.
_POPULATE_WRITE = 23
_ROLL_ROOM = 8
_crc32 = zlib.crc32
_pack_begin = BEGIN_FIXED.pack
_pack_end = END_FIXED.pack


class Writer:
    """Writes the records of one process. Threads may share it.

    No method raises, except for a body that no record could hold: where the disk refuses, the
    request goes unrecorded and is counted, in the header of the last segment as soon as there
    is one. ``error`` says why, until writing goes well again.
    """

    __slots__ = (
        "_acquire", "_folder", "_identity", "_limit", "_map", "_position", "_release",
        "_retry_at", "_segment", "_segment_size", "_seq", "_words", "error", "lost", "uid",
    )  # fmt: skip

    def __init__(self, journal: str, identity: Identity, *, segment_size: int = SEGMENT_SIZE, first_seq: int = 1) -> None:
        """Nothing is opened before the first record. ``journal`` is the folder of all apps.

        ``segment_size`` is in bytes, ``first_seq`` the number of the first request: a child
        that goes on counting where its parent stood can never close a request of its own by
        closing one of its parent's.
        """
        self._folder = files.app_folder(journal, identity.app)
        self._identity = identity
        self._segment_size = max(segment_size, MIN_SEGMENT_SIZE) & ~7
        self._seq = first_seq - 1
        self._segment = 0
        self._position = 0
        self._limit = 0
        self._retry_at = 0
        self._map: Optional[mmap.mmap] = None
        self._words: Optional[memoryview] = None
        self.uid = files.uid_of(identity)
        self.error: Optional[OSError] = None
        self.lost = 0
        lock = _thread.allocate_lock()
        self._acquire = lock.acquire
        self._release = lock.release

    @property
    def next_seq(self) -> int:
        """The number that the next request will get."""
        return self._seq + 1

    def begin(self, fields: bytes, wall_ns: int, mono_ns: int, thread: int, flags: int = 0) -> int:
        """Writes a begin record and returns the request's number, 0 if it went unrecorded.

        ``fields`` are the six texts, joined by zero bytes (see ``format.pack_fields``).
        """
        self._acquire()
        try:
            seq = self._seq + 1
            body = _pack_begin(seq, wall_ns, mono_ns, thread) + fields
            at = self._position
            end = at + 8 + len(body)
            after = (end + 7) & -8
            if after > self._limit:
                if not self._make_room(after - at):
                    return 0
                at = self._position
                end = at + 8 + len(body)
                after = (end + 7) & -8
            self._map[at + 8 : end] = body  # type: ignore[index]
            self._words[at >> 3] = _crc32(body) << 32 | flags << 24 | BEGIN << 16 | end - at  # type: ignore[index]
            self._position = after
            self._seq = seq
            return seq
        finally:
            self._release()

    def end(
        self,
        seq: int,
        duration_ns: int,
        status: int = 0,
        sent: int = UNKNOWN,
        cpu_ns: int = UNKNOWN,
        error: bytes = b"",
        flags: int = 0,
    ) -> None:
        """Writes an end record; ``status`` 0 means that the application gave none."""
        if seq:
            body = _pack_end(seq, duration_ns, cpu_ns, sent, status) + error
            self._write(END, body, flags)

    def exit(self, pid: int, start_ticks: int, code: int, wall_ns: int) -> None:
        """Writes how a child of this process died: ``code`` from 0 up, or minus the signal."""
        self._write(EXIT, EXIT_FIXED.pack(wall_ns, start_ticks, pid, code), 0)

    def _write(self, kind: int, body: bytes, flags: int) -> None:
        self._acquire()
        try:
            at = self._position
            end = at + 8 + len(body)
            after = (end + 7) & -8
            if after > self._limit:
                if not self._make_room(after - at):
                    return
                at = self._position
                end = at + 8 + len(body)
                after = (end + 7) & -8
            self._map[at + 8 : end] = body  # type: ignore[index]
            self._words[at >> 3] = _crc32(body) << 32 | flags << 24 | kind << 16 | end - at  # type: ignore[index]
            self._position = after
        finally:
            self._release()

    def close(self) -> None:
        """Lets go of the segment; the next record would open another."""
        self._acquire()
        try:
            self._let_go()
        finally:
            self._release()

    def _make_room(self, size: int) -> bool:
        """A new segment with room for ``size`` bytes; False, and counted, where there is none."""
        now = time.monotonic_ns()
        if now >= self._retry_at:
            try:
                self._roll(now)
            except (OSError, ValueError) as error:
                self.error = error if isinstance(error, OSError) else OSError(str(error))
                self._retry_at = now + RETRY_NS
            else:
                self.error = None
                return True
        self.lost += 1
        if self._words is not None:
            self._words[LOST_OFFSET >> 3] = self.lost
        return False

    def _roll(self, mono_ns: int) -> None:
        identity = self._identity
        head = pack_header(
            Header(
                **identity._asdict(),
                segment=self._segment + 1,
                wall_ns=time.time_ns(),
                mono_ns=mono_ns,
                capacity=self._segment_size,
                lost=self.lost,
            )
        )
        name = files.segment_name(self.uid, self._segment + 1)
        fd = files.create(self._folder, name, head, self._segment_size)
        try:
            mapped = mmap.mmap(fd, self._segment_size)
        finally:
            os.close(fd)
        try:
            mapped.madvise(_POPULATE_WRITE)
        except (OSError, ValueError):
            pass  # an older kernel: the pages come one by one
        if self._words is not None:
            self._words[self._position >> 3] = ROLL << 16 | 8
        self._let_go()
        self._map = mapped
        self._words = memoryview(mapped).cast("Q")
        self._segment += 1
        self._position = len(head)
        self._limit = self._segment_size - _ROLL_ROOM

    def _let_go(self) -> None:
        if self._words is not None:
            self._words.release()
            self._words = None
        if self._map is not None:
            self._map.close()
            self._map = None
        self._limit = 0
