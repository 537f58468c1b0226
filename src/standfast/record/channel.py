"""The way from the requests of this process to its journal."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from copy import copy
from time import monotonic_ns, time_ns
from typing import Any, Optional

from ..journal import files
from ..journal.format import CUT, ERROR_LIMIT, FIELD_LIMIT, OPTIONS, pack_fields, pack_options
from ..journal.identity import of_this_process
from ..journal.writer import RETRY_NS, Writer
from . import errors, patterns
from .faults import SHORT, FaultFile
from .mask import Masker, truncated
from .settings import Settings, from_environ
from .threads import CpuTime, is_shared

#: How often it is tried to open what could not be opened for want of descriptors, a second apart.
_TRIES = 600


class Opening:
    """Stands where the writer will be, as long as there is something left to be opened."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    #: It has no places for answers.
    answers: Any = None

    def begin(
        self, fields: bytes, wall_ns: int, mono_ns: int, thread: int, kind: int, slot: int = -1
    ) -> int:
        """Records nothing: ``Channel.begin_first`` does."""
        return 0

    def append(self, kind: int, body: bytes) -> None:
        """Records what belongs to a request of this process. What the parent of this process
        began is the parent's affair."""
        writer = self._channel.opened
        if writer is not None:
            writer.append(kind, body)


class _Later(Opening):
    """Stands where the writer is, for finalizers."""

    def append(self, kind: int, body: bytes) -> None:
        self._channel.append_later(kind, body)


class Channel:
    """One process's journal of one application: made at the first request, and again in a child.

    The path of a request uses ``writer``, ``cpu_time``, ``plain_up_to`` (the texts of a begin
    record of up to so many bytes are taken as they are), ``clean`` and ``is_clean`` (whether a
    URI can hold no secret, see ``Masker``).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.masker = Masker(settings.masked_names)
        self.clean = self.masker.clean
        self.is_clean = self.masker.is_clean
        self.cpu_time = settings.cpu_time
        # No text can be over its limit where all together are under the smallest limit.
        self.plain_up_to = -1 if settings.truncate_clients else FIELD_LIMIT
        self.cpu = CpuTime()
        self.server = ""
        #: The server's own settings of when it ends a worker, written down for each of them.
        self.options: dict[str, str] = {}
        #: Whether one thread serves many requests at a time.
        self.is_shared = is_shared()
        #: What finds the patterns of the application's framework, where one is loaded.
        self.patterns: Optional[patterns.Patterns] = None
        #: Responses that are being streamed, by the thread that fetched their last chunk.
        self.streams: dict[int, Any] = {}
        self.opened: Optional[Writer] = None
        self.writer: Writer | Opening = Opening(self)
        self._first_seq = 1
        self._lost = 0
        self._error: Optional[OSError] = None
        self._retry_at = 0
        self._tries = _TRIES
        self._later: deque[tuple[int, bytes]] = deque()
        self._faults = FaultFile()
        self._complained = False
        self._lock = threading.Lock()

    def open(self, server: str = "") -> Writer:
        """The writer of this process, made now if it was not there.

        ``server`` is what the server calls itself, where nobody told before. Raises OSError where
        descriptors or memory are used up; it may be asked again at any time.
        """
        with self._lock:
            if not isinstance(self.writer, Opening):
                return self.writer
            now = monotonic_ns()
            if now >= self._retry_at:
                self._retry_at = now + RETRY_NS
                self._tries -= 1
                self._open(server)
            if self.opened is None:
                raise self._error or OSError("not opened")
            return self.opened

    def _open(self, server: str) -> None:
        try:
            if self.opened is None:
                settings = self.settings
                who = of_this_process(settings.app, self.server or server, settings.revision)
                self.opened = Writer(
                    settings.journal,
                    who,
                    first_seq=self._first_seq,
                    limit=settings.journal_limit,
                    lost=self._lost,
                )
                if self.options:
                    self.opened.append(OPTIONS << 16, pack_options(time_ns(), self.options))
                self.is_shared = is_shared()
                self.patterns = patterns.of_this_process(self.opened.append)
                errors.watch_logging()
            folder = files.app_folder(self.settings.journal, self.settings.app)
            self._faults.open(os.path.join(folder, self.opened.uid + files.FAULT_SUFFIX))
        except OSError as error:
            self._error = error
            if self.opened is None or (error.errno in SHORT and self._tries > 0):
                return
        self._error = None
        self.writer = self.opened

    def lose(self) -> None:
        """Counts a request that goes unrecorded."""
        if self.opened is not None:
            self.opened.lose()
        else:
            self._lost += 1

    def begin_first(
        self,
        refused: Writer | Opening,
        fields: bytes,
        wall_ns: int,
        mono_ns: int,
        thread: int,
        kind: int,
        slot: int = -1,
        server: str = "",
    ) -> int:
        """Begins one of the first requests of this process, or one that the writer refused."""
        # What was asked counts, not what is there by now: another thread may have opened it.
        if isinstance(refused, Opening):
            try:
                writer = self.open(server)
            except OSError:
                self.lose()
                self.complain()
                return 0
            seq = writer.begin(fields, wall_ns, mono_ns, thread, kind, slot)
            if seq:
                return seq
        self.complain()
        return 0

    def in_a_finalizer(self) -> Channel:
        """This channel for who may not wait: a finalizer may interrupt the writer's own work."""
        same = copy(self)
        same.writer = _Later(self)
        return same

    def append_later(self, kind: int, body: bytes) -> None:
        """Writes a record from within a finalizer: at once if that can be done without waiting,
        else with the next record of a stream. The code that it interrupts may be the writer's."""
        later = self._later
        later.append((kind, body))
        writer = self.opened
        while later and writer is not None:
            try:
                kind, body = later.popleft()
            except IndexError:
                return
            if not writer.append_now(kind, body):
                later.appendleft((kind, body))
                return

    def append_what_is_left(self) -> None:
        """Writes what finalizers had to leave."""
        while self._later:
            try:
                self.writer.append(*self._later.popleft())
            except IndexError:  # another thread was faster
                return

    def bounded(self, fields: bytes, kind: int) -> tuple[bytes, int]:
        """The texts of a begin record within their limits, its kind marked where one was cut."""
        client, method, uri, host, forwarded_for, user_agent = fields.split(b"\0", 5)
        if self.settings.truncate_clients:
            client, forwarded_for = _truncated(client), _truncated(forwarded_for)
        packed, cut = pack_fields(client, method, uri, host, forwarded_for, user_agent)
        return packed, kind | CUT << 24 if cut else kind

    def error(self, texts: list[str], kind: int) -> tuple[bytes, int]:
        """The error stack of an end record, masked and within its limit, and the record's kind."""
        text = self.masker.text("".join(texts))
        kept = errors.bounded(text)
        data = kept.encode("utf-8", "replace")
        if len(data) > ERROR_LIMIT:  # characters of more than one byte
            kept = errors.bounded(text, ERROR_LIMIT // 4)
            data = kept.encode("utf-8", "replace")
        return data, kind if kept == text else kind | CUT << 24

    def complain(self) -> None:
        """Says on stderr, once in a process, that requests go unrecorded and why."""
        error = getattr(self.writer, "error", None) or self._error
        if error and not self._complained:
            self._complained = True
            try:
                sys.stderr.write(
                    f"standfast: cannot record requests: {error};"
                    " the application runs on, unrecorded\n"
                )
            except (AttributeError, OSError, ValueError):
                pass  # stderr is closed, or None: there is nobody to tell

    def renew(self) -> None:
        """Called in a child after a fork: the parent's journal is not the child's."""
        self._lock = threading.Lock()
        if self.opened is not None:
            self._first_seq = self.opened.next_seq
            self.opened = self.patterns = None
            self.writer = Opening(self)
        self._retry_at, self._tries, self._lost, self._error = 0, _TRIES, 0, None
        self._later.clear()
        self.streams.clear()
        self.cpu = CpuTime()
        self._faults.renew()


def _truncated(addresses: bytes) -> bytes:
    return truncated(addresses.decode("latin-1")).encode("latin-1")


_channels: dict[tuple[str, str], Channel] = {}


def channel_for(app: Optional[str] = None, journal: Optional[str] = None) -> Channel:
    """The channel of an application in this process, always the same one."""
    settings = from_environ()
    settings = settings._replace(app=app or settings.app, journal=journal or settings.journal)
    return _channels.setdefault((settings.journal, settings.app), Channel(settings))


def _renew_all() -> None:
    errors.running[:] = [None] * len(errors.running)
    for channel in _channels.values():
        channel.renew()


os.register_at_fork(after_in_child=_renew_all)
