"""A request on its way, whichever interface it came by: what is counted of it, and its end."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, Optional

from ..journal.format import ABORTED, LOGGED, PROGRESS, PROGRESS_FIXED, RUNNING, UNKNOWN
from ..journal.writer import END_KIND, pack_end
from .channel import Channel
from .errors import Noted, end_flags, hide_own_frames, is_of_a_signal, safely, stack_of
from .threads import Turn

RUNNING_KIND = END_KIND | RUNNING << 24
#: How often a response that is streamed is reported at most, and from what age on.
PROGRESS_EVERY_NS = 5_000_000_000
PROGRESS_FROM_NS = 1_000_000_000
_PROGRESS_KIND = PROGRESS << 16


class Request(Noted):
    """``report_at`` is when the request's progress is written next, by the monotonic clock, 0 where
    it is not streamed."""

    __slots__ = ("begun_ns", "channel", "code", "report_at", "sent", "turn")

    begun_ns: int
    channel: Channel
    #: The status of the response, 0 as long as there is none.
    code: int
    report_at: int
    sent: int
    turn: Turn

    def count(self, chunk: Any) -> None:
        """Counts what is handed over to be sent, and writes now and then how far that has come."""
        if type(chunk) is bytes and self.sent != UNKNOWN:
            self.sent += len(chunk)
        else:
            self.sent = sum_of(self.sent, chunk)
        now = monotonic_ns()
        if now < self.report_at:
            return
        age_ns = now - self.begun_ns
        if not self.report_at and age_ns < PROGRESS_FROM_NS:
            self.report_at = self.begun_ns + PROGRESS_FROM_NS
            return
        self.report_at = now + PROGRESS_EVERY_NS
        if self.seq:
            fixed = PROGRESS_FIXED.pack(self.seq, age_ns, self.sent)
            safely(self.channel.writer.append, _PROGRESS_KIND, fixed)

    def fail(self, error: BaseException) -> None:
        """Closes the record of a request that ``error`` went through."""
        if self.seq:
            flags = safely(end_flags, error, default=0)
            if not flags or flags & ABORTED:
                safely(self.note, safely(stack_of, error))
            self.end(END_KIND | flags << 24, raised=True)
        safely(hide_own_frames, error)

    def end(self, kind: int = END_KIND, raised: bool = False) -> None:
        """Writes an end record of that kind and, but for ``RUNNING_KIND``, closes the record with
        it; then a second call does nothing. ``raised`` says that an exception escaped, and that
        what is noted is not only what was logged."""
        seq = self.seq
        if not seq:
            return
        if kind != RUNNING_KIND:
            self.seq = 0
        try:
            channel = self.channel
            duration = monotonic_ns() - self.begun_ns
            cpu = channel.cpu.used(self.turn, not self.seq) if channel.cpu_time else UNKNOWN
            body = pack_end(seq, duration, cpu, self.sent, self.code)
            if self.errors:
                error, kind = channel.error(self.errors, kind if raised else kind | LOGGED << 24)
                body += error
            channel.writer.append(kind, body)
        except BaseException as failed:
            if is_of_a_signal(failed):
                raise

    def drop(self) -> None:
        """Closes the record from within a finalizer, which may come at any moment of any thread."""
        if self.seq:
            self.channel = self.channel.in_a_finalizer()
            self.end()


def sum_of(sent: int, chunk: Any) -> int:
    """``sent`` and the bytes of ``chunk``; ``UNKNOWN`` where that is nothing that has bytes."""
    size: Optional[int] = None
    if issubclass(type(chunk), bytes):
        size = bytes.__len__(chunk)
    elif type(chunk) is bytearray:
        size = len(chunk)
    elif type(chunk) is memoryview:
        size = safely(getattr, chunk, "nbytes")  # it may have been released
    return UNKNOWN if size is None or sent == UNKNOWN else sent + size
