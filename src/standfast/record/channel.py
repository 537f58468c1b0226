"""The way from the requests of this process to its journal."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from typing import Optional

from ..journal import files
from ..journal.format import CUT, ERROR_LIMIT, FIELD_LIMIT, pack_fields
from ..journal.identity import of_this_process
from ..journal.writer import Writer
from . import errors
from .mask import Masker, truncated
from .settings import Settings, from_environ


class Unopened:
    """Stands where the writer will be: no request of this process has been recorded yet."""

    def begin(self, fields: bytes, wall_ns: int, mono_ns: int, thread: int, kind: int) -> int:
        """Records nothing."""
        return 0

    def append(self, kind: int, body: bytes) -> None:
        """The end of a request that the parent of this process began: the parent's affair."""


class Channel:
    """One process's journal of one application: made at the first request, and again in a child.

    The path of a request uses ``writer``, ``cpu_time``, ``plain_up_to`` (the texts of a begin
    record of up to so many bytes are taken as they are) and ``is_clean`` (whether a query can
    hold no secret).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.masker = Masker(settings.masked_names)
        self.is_clean = self.masker.is_clean
        self.cpu_time = settings.cpu_time
        # No text can be over its limit where all together are under the smallest limit.
        self.plain_up_to = -1 if settings.truncate_clients else FIELD_LIMIT
        self.server = ""
        self.writer: Writer | Unopened = Unopened()
        self._first_seq = 1
        self._fault_fd = -1
        self._complained = False
        self._lock = threading.Lock()

    def open(self, server: str = "") -> Writer:
        """The writer of this process, made now if it was not there.

        ``server`` is what the server calls itself, where nobody told before.
        """
        with self._lock:
            writer = self.writer
            if isinstance(writer, Writer):
                return writer
            settings = self.settings
            identity = of_this_process(settings.app, self.server or server, settings.revision)
            writer = Writer(
                settings.journal,
                identity,
                first_seq=self._first_seq,
                limit=settings.journal_limit,
            )
            self._catch_faults(writer.uid)
            errors.watch_logging()
            self.writer = writer
            return writer

    def begin_slowly(
        self,
        refused: Writer | Unopened,
        fields: bytes,
        wall_ns: int,
        mono_ns: int,
        thread: int,
        kind: int,
        server: str = "",
    ) -> int:
        """Begins one of the first requests of this process, or one that the writer refused."""
        # What was asked counts, not what is there by now: another thread may have opened it.
        if isinstance(refused, Unopened):
            seq = self.open(server).begin(fields, wall_ns, mono_ns, thread, kind)
            if seq:
                return seq
        self.complain()
        return 0

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
        error = getattr(self.writer, "error", None)
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
        if isinstance(self.writer, Writer):
            self._first_seq = self.writer.next_seq
            self.writer = Unopened()
        if self._fault_fd >= 0:
            faulthandler.disable()
            os.close(self._fault_fd)
            self._fault_fd = -1

    def _catch_faults(self, uid: str) -> None:
        """Has the traceback of a fatal signal written beside the journal.

        An application that uses faulthandler itself keeps it as it is.
        """
        if faulthandler.is_enabled():
            return
        folder = files.app_folder(self.settings.journal, self.settings.app)
        path = os.path.join(folder, uid + files.FAULT_SUFFIX)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._fault_fd = os.open(path, flags, 0o600)
            faulthandler.enable(self._fault_fd)
        except OSError:
            pass  # the writer meets the same obstacle, and says so


def _truncated(addresses: bytes) -> bytes:
    return truncated(addresses.decode("latin-1")).encode("latin-1")


_channels: dict[tuple[str, str], Channel] = {}


def channel_for(app: Optional[str] = None, journal: Optional[str] = None) -> Channel:
    """The channel of an application in this process, always the same one."""
    settings = from_environ()
    settings = settings._replace(app=app or settings.app, journal=journal or settings.journal)
    return _channels.setdefault((settings.journal, settings.app), Channel(settings))


def _renew_all() -> None:
    for channel in _channels.values():
        channel.renew()


os.register_at_fork(after_in_child=_renew_all)
