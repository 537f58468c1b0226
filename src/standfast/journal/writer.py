"""The writer of a worker: records go into a file mapped into memory.

An ordinary request costs no system call: two copies into the mapped pages, each with one store that
makes it visible. The kernel keeps what was stored, whatever ends the process.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib
from errno import EAGAIN
from typing import Any, Optional

from . import files
from .format import (
    ANSWER,
    ANSWER_PLACES,
    BEGIN,
    BEGIN_FIXED,
    END,
    END_FIXED,
    EXIT,
    EXIT_FIXED,
    HEAD,
    LOST_OFFSET,
    MIN_SEGMENT_SIZE,
    REQUEST_SLOTS,
    ROLL,
    SEGMENT_LIMIT,
    SEGMENT_SEQS,
    SEGMENT_SIZE,
    SIGNAL,
    SIGNAL_FIXED,
    UNKNOWN,
    Header,
    pack_header,
)
from .identity import Identity
from .limit import Room

#: After the disk or the folder refused, how long the writer waits before it asks again; and while
#: it is not known yet what may go.
RETRY_NS = 1_000_000_000
SOON_NS = 1_000_000
#: Linux 5.14: many pages at once instead of one fault a page on the application's path; a whole
#: segment at once would keep one request waiting for all of them.
_POPULATE_WRITE = 23
_STRETCH = 128 * 1024
#: What is kept free at the end of a segment: a roll record, and the padding before it.
_ROLL_ROOM = 16
#: What is kept for records other than a begin: while the disk refuses another segment, requests
#: that were recorded as begun can still be closed, and do not look as if they never finished.
_END_ROOM = 32 * 1024
#: How often a thread asks for the baton, a tenth of a millisecond apart, before it gives up.
_PATIENCE = 10_000
#: A type, and flags to the left of it, as they stand in the head of a record.
BEGIN_KIND = BEGIN << 16
END_KIND = END << 16
#: What a begin record has beside its texts.
_BEGIN_SIZE = HEAD.size + BEGIN_FIXED.size
LAST_SLOT = REQUEST_SLOTS - 1
_checksum = zlib.adler32
_pack_begin = BEGIN_FIXED.pack
#: The fixed part of an end record: number, duration of the response, CPU time, bytes sent, status,
#: and the time that the application's code ran on.
pack_end = END_FIXED.pack
#: An answer, into ``Writer.answers`` at the slot's number shifted to the left by ANSWER_SHIFT:
#: duration, bytes sent, status and number of the request. The number is stored last and all at
#: once: until then the place says nothing.
pack_answer = ANSWER.pack_into
ANSWER_SHIFT = ANSWER.size.bit_length() - 1


def _guard(size: int) -> Any:
    """Pages that nobody may touch, below a segment that was mapped just now.

    The application's memory grows downwards towards the segment, and what runs over the end of a
    buffer runs upwards: it shall meet this before it wipes out the record of the request in which
    it happens. Of the segment's own ``size``, it mostly gets the place next to it: Linux takes the
    highest gap that is large enough. It costs address space and nothing else.
    """
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    except (OSError, ValueError):
        return None  # no address space to spare: the application comes first


class Writer:
    """Writes the records of one process. Threads may share it.

    No method raises for a body that fits a record: where the disk refuses, the request goes
    unrecorded and is counted, in the header of the last segment as soon as there is one.
    ``error`` says why, until writing goes well again. ``answers`` are the places for answers in the
    present segment (see ``pack_answer``); a request that lacks one has an end record for it.
    """

    __slots__ = (
        "_baton", "_begin_limit", "_folder", "_give", "_guard", "_identity", "_limit", "_map",
        "_patience", "_populated", "_position", "_retry_at", "_room", "_segment", "_segment_size",
        "_seq", "_take", "_words", "answers", "error", "lost", "uid",
    )  # fmt: skip

    def __init__(
        self,
        journal: str,
        identity: Identity,
        *,
        segment_size: int = SEGMENT_SIZE,
        first_seq: int = 1,
        limit: int = 0,
        lost: int = 0,
    ) -> None:
        """Nothing is opened before the first record. ``journal`` is the folder of all apps.

        ``limit`` is what all journals of this application may take, in bytes; 0 is the default
        (see ``limit.default_limit``).

        ``segment_size`` is in bytes, ``first_seq`` the number of the first request: a child
        that goes on counting where its parent stood can never close a request of its own by
        closing one of its parent's. ``lost`` requests went unrecorded before. Raises OSError where
        descriptors or memory are used up.
        """
        self._folder = files.app_folder(journal, identity.app)
        self._identity = identity
        self._room = Room(self._folder, limit)
        self._segment_size = min(max(segment_size, MIN_SEGMENT_SIZE), SEGMENT_LIMIT) & ~7
        self._position = 0
        self._populated = 0
        self._limit = 0
        self._begin_limit = 0
        self._retry_at = 0
        self._patience = _PATIENCE
        self._map: Any = None  # mmap.mmap, once there is a segment
        self._guard: Any = None
        self._words: Any = None  # the same bytes as a memoryview of 32-bit words
        self.answers: Any = None
        self.uid = files.uid_of(identity)
        # The same process may have run another program before (execve(2) changes neither its
        # pid nor its start): segments and requests are counted on from there.
        self._segment = files.last_segment(self._folder, self.uid)
        self._seq = max(first_seq, self._segment << SEGMENT_SEQS) - 1
        self.error: Optional[OSError] = None
        self.lost = lost
        # A list of one as the lock: taking the baton and giving it back are atomic and cost a
        # fifth of what a lock costs, and two threads hardly ever meet here.
        self._baton: list[None] = [None]
        self._take = self._baton.pop
        self._give = self._baton.append

    @property
    def next_seq(self) -> int:
        """The number that the next request will get, if it has no slot."""
        return self._seq + 1

    def begin(
        self,
        fields: bytes,
        wall_ns: int,
        mono_ns: int,
        thread: int,
        kind: int = BEGIN_KIND,
        slot: int = -1,
    ) -> int:
        """Writes a begin record and returns the request's number, 0 if it went unrecorded.

        ``fields`` are the six texts, joined by zero bytes (see ``format.pack_fields``); ``kind``
        is the type and the flags as they stand in the head, ``slot`` what the number is to be
        modulo ``REQUEST_SLOTS``, where the request has a slot.
        """
        take, give = self._take, self._give
        try:
            take()
        except IndexError:
            if not self._wait():
                return 0
        except BaseException:
            self._give_back()
            raise
        try:
            # As in append, written out again: another call would be a tenth of the whole.
            size = len(fields) + _BEGIN_SIZE
            at = self._position
            if at + size > self._begin_limit:
                if not self._make_room(size, _END_ROOM):
                    return 0
                at = self._position
            seq = self._seq + 1 if slot < 0 else (self._seq | LAST_SLOT) + 1 + slot
            body = _pack_begin(seq, wall_ns, mono_ns, thread) + fields
            self._map[at + 8 : at + size] = body
            word = at >> 2
            words = self._words
            words[word + 1] = _checksum(body, kind + 1)
            words[word] = kind + size
            self._position = at + size + 7 & -8
            self._seq = seq
            return seq
        finally:
            give(None)

    def append(self, kind: int, body: bytes) -> None:
        """Writes any other record; ``kind`` is its type and flags as they stand in the head."""
        take, give = self._take, self._give
        try:
            take()
        except IndexError:
            if not self._wait():
                return
        except BaseException:
            self._give_back()
            raise
        try:
            size = len(body) + 8
            at = self._position
            if at + size > self._limit:
                if not self._make_room(size):
                    return
                at = self._position
            self._map[at + 8 : at + size] = body
            word = at >> 2
            words = self._words
            words[word + 1] = _checksum(body, kind + 1)
            words[word] = kind + size
            self._position = at + size + 7 & -8
        finally:
            give(None)

    def append_now(self, kind: int, body: bytes) -> bool:
        """As ``append``, but does not wait for another thread: False where it would have to."""
        try:
            self._take()
        except IndexError:
            return False
        except BaseException:
            self._give_back()
            raise
        self._give(None)
        self.append(kind, body)
        return True

    def end(
        self,
        seq: int,
        duration_ns: int,
        status: int = 0,
        sent: int = UNKNOWN,
        cpu_ns: int = UNKNOWN,
        error: bytes = b"",
        kind: int = END_KIND,
        background_ns: int = 0,
    ) -> None:
        """Writes an end record; ``status`` 0 means that the application gave none."""
        fixed = pack_end(seq, duration_ns, cpu_ns, sent, status, background_ns)
        self.append(kind, fixed + error)

    def exit(self, pid: int, start_ticks: int, code: int, wall_ns: int, flags: int = 0) -> None:
        """Writes how a child of this process died: ``code`` from 0 up, or minus the signal."""
        self.append(flags << 24 | EXIT << 16, EXIT_FIXED.pack(wall_ns, start_ticks, pid, code))

    def signal(
        self, pid: int, start_ticks: int, signal: int, reason: int, timeout_ns: int, wall_ns: int
    ) -> None:
        """Writes that this process sends a worker a signal to end it; 0 is no time-out."""
        fixed = SIGNAL_FIXED.pack(wall_ns, start_ticks, pid, signal, reason, timeout_ns)
        self.append(SIGNAL << 16, fixed)

    def _wait(self) -> bool:
        """Takes the baton when another thread lays it down; False when that takes too long.

        The wait has an end for the sake of a signal handler that serves a request while the
        code that it interrupted holds the baton.
        """
        for _ in range(self._patience):
            time.sleep(0.0001)
            try:
                self._take()
            except IndexError:
                continue
            except BaseException:
                self._give_back()
                raise
            self._patience = _PATIENCE
            return True
        # Who holds it may be stuck for long, or gone for ever: nobody else waits so long for it.
        self._patience = max(self._patience // 10, 1)
        self.lose()
        return False

    def _give_back(self) -> None:
        """For what a signal handler raises, as a time-out of the application does: that strikes
        when a call has just returned, here the one that took the baton."""
        if not self._baton:
            self._give(None)

    def close(self) -> None:
        """Lets go of the segment; the next record would open another."""
        if self._wait():
            self._let_go()
            self._give(None)

    def _make_room(self, size: int, kept: int = 0) -> bool:
        """Room for a record of ``size`` bytes, and ``kept`` behind it: in the segment there is, or
        in a new one. False, and counted, where there is none to be had."""
        if (
            self._position + size + kept <= self._segment_size - _ROLL_ROOM
            and self._map is not None
        ):
            self._populate()
            self._room.look_ahead()
            return True
        now = time.monotonic_ns()
        if now >= self._retry_at:
            try:
                self._roll(now)
            except (OSError, ValueError) as error:
                self.error = error if isinstance(error, OSError) else OSError(str(error))
                self._retry_at = now + (SOON_NS if self.error.errno == EAGAIN else RETRY_NS)
            else:
                self.error = None
                return True
        self.lose()
        return False

    def lose(self) -> None:
        """Counts a request that goes unrecorded, in the header of the segment."""
        self.lost += 1
        try:
            self._words[LOST_OFFSET >> 2] = self.lost & 0xFFFF_FFFF
        except (TypeError, ValueError):
            pass  # there is no segment, or no longer: the next one's header will say it

    def _roll(self, mono_ns: int) -> None:
        identity = self._identity
        # Requests that were recorded and had to give way are lost like those that never were.
        self.lost += self._room.make(self._segment_size)
        head = pack_header(
            Header(
                **identity._asdict(),
                segment=self._segment + 1,
                wall_ns=time.time_ns(),
                mono_ns=mono_ns,
                capacity=self._segment_size,
                answers=ANSWER_PLACES,
            )
        )
        # What the places say goes on: the newest segment has all that is of interest. An answer
        # that another thread stores from here on may be missed, the end record that follows not.
        answers = bytes(ANSWER_PLACES * ANSWER.size if self.answers is None else self.answers)
        name = files.segment_name(self.uid, self._segment + 1)
        try:
            fd = files.create(self._folder, name, head + answers, self._segment_size)
        except FileExistsError:
            # Of a roll that an exception of a signal handler broke off: the next try has another.
            self._segment += 1
            raise
        try:
            mapped = mmap.mmap(fd, self._segment_size)
        except (OSError, ValueError):
            os.unlink(os.path.join(self._folder, name))  # or the name is taken for ever
            raise
        finally:
            os.close(fd)
        if self._words is not None:
            word = self._position >> 2
            self._words[word + 1] = ROLL << 16 | 1  # the checksum of nothing
            self._words[word] = ROLL << 16 | 8
        self._let_go()
        self._map = mapped
        self._guard = _guard(self._segment_size)
        self._words = memoryview(mapped).cast("I")
        self._words[LOST_OFFSET >> 2] = self.lost & 0xFFFF_FFFF
        self._segment += 1
        self.answers = memoryview(mapped)[len(head) : len(head) + len(answers)]
        self._position = len(head) + len(answers)
        self._populated = 0
        self._populate()

    def _populate(self) -> None:
        """Has the kernel bring in the pages of the next records."""
        start, self._populated = self._populated, self._position // _STRETCH * _STRETCH
        self._populated = min(self._populated + 2 * _STRETCH, self._segment_size)
        try:
            self._map.madvise(_POPULATE_WRITE, start, self._populated - start)
        except (OSError, ValueError):
            pass  # an older kernel: the pages come one by one
        self._limit = min(self._populated, self._segment_size - _ROLL_ROOM)
        self._begin_limit = min(self._populated, self._segment_size - _ROLL_ROOM - _END_ROOM)

    def _let_go(self) -> None:
        if self._words is not None:
            self._words.release()
            self.answers.release()
            self._words = self.answers = None
        if self._map is not None:
            self._map.close()
            self._map = self._guard = None
        self._limit = self._begin_limit = 0
