"""A request on its way, whichever interface it came by: what is counted of it, and its end."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, Optional

from ..journal.format import (
    ABORTED,
    ANSWER_PLACES,
    LOGGED,
    PROGRESS,
    PROGRESS_FIXED,
    RUNNING,
    UNKNOWN,
)
from ..journal.writer import ANSWER_SHIFT, END_KIND, pack_answer, pack_end
from .channel import Channel
from .errors import Noted, end_flags, hide_own_frames, is_of_a_signal, safely, stack_of
from .threads import Turn

_RUNNING_KIND = END_KIND | RUNNING << 24
#: How often a response that is streamed is reported at most, and from what age on.
PROGRESS_EVERY_NS = 5_000_000_000
PROGRESS_FROM_NS = 1_000_000_000
_PROGRESS_KIND = PROGRESS << 16


class Request(Noted):
    """``report_at`` is when the request's progress is written next, by the monotonic clock, 0 where
    it is not streamed."""

    __slots__ = ("answered_ns", "channel", "code", "report_at", "sent", "turn")

    #: How long it took until the response was complete, 0 as long as it is not, or where all of the
    #: application's code was done by then.
    answered_ns: int
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

    def answer(self, slot: int) -> None:
        """Notes that the response is complete: what runs on after this is background work. In the
        place of its ``slot``, where that has one, and else in a record."""
        seq = self.seq
        if not seq or self.answered_ns:
            return
        self.answered_ns = answered = monotonic_ns() - self.begun_ns
        channel = self.channel
        if 0 <= slot < ANSWER_PLACES and self.errors is None and not channel.cpu_time:
            answers = channel.writer.answers
            pack_answer(answers, slot << ANSWER_SHIFT, answered, self.sent, self.code, seq)
        else:
            cpu = channel.cpu.used(self.turn, False) if channel.cpu_time else UNKNOWN
            body = pack_end(seq, answered, cpu, self.sent, self.code, 0)
            kind = _RUNNING_KIND
            if self.errors:
                error, kind = channel.error(self.errors, kind | LOGGED << 24)
                body += error
            channel.writer.append(kind, body)

    def end(self, kind: int = END_KIND, raised: bool = False) -> None:
        """Closes the record with an end record of that kind; a second call does nothing. ``raised``
        says that an exception escaped, and that what is noted is not only what was logged."""
        seq = self.seq
        if not seq:
            return
        self.seq = 0
        try:
            channel = self.channel
            ran = monotonic_ns() - self.begun_ns
            duration = self.answered_ns or ran
            cpu = channel.cpu.used(self.turn, True) if channel.cpu_time else UNKNOWN
            body = pack_end(seq, duration, cpu, self.sent, self.code, ran - duration)
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
