"""The same bytes by plain appends: for few records, and the pattern for other languages."""

from __future__ import annotations

import os
import time

from . import files
from .format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    EXIT,
    EXIT_FIXED,
    MIN_SEGMENT_SIZE,
    ROLL,
    SEGMENT_LIMIT,
    SEGMENT_SEQS,
    SEGMENT_SIZE,
    SIGNAL,
    SIGNAL_FIXED,
    UNKNOWN,
    Header,
    pack_header,
    pack_record,
)
from .identity import Identity
from .limit import Room

_ROLL = pack_record(ROLL, b"")
#: Whoever appends is in no hurry: it looks until it knows what may go.
_ALL = 1 << 30


class AppendWriter:
    """Writes records with one ``write`` each. One thread at a time; raises OSError."""

    def __init__(
        self,
        journal: str,
        identity: Identity,
        *,
        segment_size: int = SEGMENT_SIZE,
        limit: int = 0,
    ) -> None:
        """Creates the worker's first segment under the folder ``journal``.

        ``segment_size`` is how far a segment grows before the next one is made, ``limit`` what all
        journals of this application may take, both in bytes (see ``writer.Writer``).
        """
        self.uid = files.uid_of(identity)
        self._identity = identity
        self._folder = files.app_folder(journal, identity.app)
        self._room = Room(self._folder, limit)
        self._segment_size = min(max(segment_size, MIN_SEGMENT_SIZE), SEGMENT_LIMIT)
        self._segment = files.last_segment(self._folder, self.uid)
        self._seq = max(1, self._segment << SEGMENT_SEQS) - 1
        self._lost = 0
        self._fd = -1
        self._size = 0
        self._open_next()

    def begin(self, fields: bytes, wall_ns: int, mono_ns: int, thread: int, flags: int = 0) -> int:
        """Appends a begin record and returns the request's number."""
        self._seq += 1
        fixed = BEGIN_FIXED.pack(self._seq, wall_ns, mono_ns, thread)
        self._append(pack_record(BEGIN, fixed + fields, flags))
        return self._seq

    def end(
        self,
        seq: int,
        duration_ns: int,
        status: int = 0,
        sent: int = UNKNOWN,
        cpu_ns: int = UNKNOWN,
        error: bytes = b"",
        flags: int = 0,
        background_ns: int = 0,
    ) -> None:
        """Appends an end record; ``status`` 0 means that the application gave none."""
        fixed = END_FIXED.pack(seq, duration_ns, cpu_ns, sent, status, background_ns)
        self._append(pack_record(END, fixed + error, flags))

    def exit(self, pid: int, start_ticks: int, code: int, wall_ns: int, flags: int = 0) -> None:
        """Appends how a child of this process died: ``code`` from 0 up, or minus the signal."""
        fixed = EXIT_FIXED.pack(wall_ns, start_ticks, pid, code)
        self._append(pack_record(EXIT, fixed, flags))

    def signal(
        self, pid: int, start_ticks: int, signal: int, reason: int, timeout_ns: int, wall_ns: int
    ) -> None:
        """Appends that this process sends a worker a signal to end it; 0 is no time-out."""
        fixed = SIGNAL_FIXED.pack(wall_ns, start_ticks, pid, signal, reason, timeout_ns)
        self._append(pack_record(SIGNAL, fixed))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def _append(self, record: bytes) -> None:
        if self._size + len(record) + len(_ROLL) > self._segment_size:
            self._open_next()
        self._write(record)

    def _write(self, record: bytes) -> None:
        if os.write(self._fd, record) != len(record):
            # What follows half a record would not start on a multiple of eight.
            os.ftruncate(self._fd, self._size)
            raise OSError(28, "no space left for the record")
        self._size += len(record)

    def _open_next(self) -> None:
        self._lost += self._room.make(self._segment_size, pieces=_ALL)
        number = self._segment + 1
        head = pack_header(
            Header(
                **self._identity._asdict(),
                segment=number,
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                capacity=0,
                lost=self._lost,
            )
        )
        fd = files.create(self._folder, files.segment_name(self.uid, number), head, 0)
        old, self._fd = self._fd, fd
        self._segment, self._size, old_size = number, len(head), self._size
        if old >= 0:
            try:
                # Half of it says as little as nothing: a later segment ends this one as well.
                os.write(old, _ROLL)
            except OSError:
                os.ftruncate(old, old_size)
            finally:
                os.close(old)
