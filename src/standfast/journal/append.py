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
    SIGNAL,
    SIGNAL_FIXED,
    UNKNOWN,
    WORKER_EXIT,
    Header,
    pack_header,
    pack_record,
)
from .identity import Identity


class AppendWriter:
    """Writes records with one ``write`` each. One thread at a time; raises OSError."""

    def __init__(self, journal: str, identity: Identity) -> None:
        """Creates the worker's only segment under the folder ``journal``."""
        self.uid = files.uid_of(identity)
        self._seq = 0
        head = pack_header(
            Header(
                **identity._asdict(),
                segment=1,
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                capacity=0,
            )
        )
        folder = files.app_folder(journal, identity.app)
        self._fd = files.create(folder, files.segment_name(self.uid, 1), head, 0)
        self._size = len(head)

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
    ) -> None:
        """Appends an end record; ``status`` 0 means that the application gave none."""
        fixed = END_FIXED.pack(seq, duration_ns, cpu_ns, sent, status)
        self._append(pack_record(END, fixed + error, flags))

    def exit(
        self, pid: int, start_ticks: int, code: int, wall_ns: int, worker: bool = False
    ) -> None:
        """Appends how a child of this process died: ``code`` from 0 up, or minus the signal."""
        fixed = EXIT_FIXED.pack(wall_ns, start_ticks, pid, code)
        self._append(pack_record(EXIT, fixed, WORKER_EXIT if worker else 0))

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
        if os.write(self._fd, record) != len(record):
            # What follows half a record would not start on a multiple of eight.
            os.ftruncate(self._fd, self._size)
            raise OSError(28, "no space left for the record")
        self._size += len(record)
