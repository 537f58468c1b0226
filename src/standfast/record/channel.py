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


class Channel:
    """One process's journal of one application: made at the first request, and again in a child.

    ``writer`` is None until then; the path of a request reads it, and calls ``open`` only if
    there is none.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.masker = Masker(settings.masked_names)
        self.cpu_time = settings.cpu_time
        self.truncates = settings.truncate_clients
        self.server = ""
        self.writer: Optional[Writer] = None
        self._first_seq = 1
        self._fault_fd = -1
        self._complained = False
        self._lock = threading.Lock()

    def open(self, server: str = "") -> Writer:
        """The writer of this process, made now if it was not there.

        ``server`` is what the server calls itself, where nobody told before.
        """
        with self._lock:
            if self.writer is None:
                settings = self.settings
                identity = of_this_process(settings.app, self.server or server, settings.revision)
                writer = Writer(settings.journal, identity, first_seq=self._first_seq)
                self._catch_faults(writer.uid)
                errors.watch_logging()
                self.writer = writer
            return self.writer

    def fields(
        self, client: str, method: str, uri: str, host: str, forwarded_for: str, user_agent: str
    ) -> tuple[bytes, int]:
        """The texts of a begin record and its flags; ``uri`` has been masked already."""
        if self.truncates:
            client, forwarded_for = truncated(client), truncated(forwarded_for)
        else:
            try:
                fields = f"{client}\0{method}\0{uri}\0{host}\0{forwarded_for}\0{user_agent}".encode(
                    "latin-1"
                )
                # No text can be over its limit where all together are under the smallest.
                if len(fields) <= FIELD_LIMIT:
                    return fields, 0
            except UnicodeEncodeError:
                pass  # a server that decodes by itself
        texts = (client, method, uri, host, forwarded_for, user_agent)
        packed, cut = pack_fields(*map(_raw, texts))
        return packed, CUT if cut else 0

    def error(self, texts: list[str]) -> tuple[bytes, int]:
        """The error stack of an end record, masked and within its limit, and its flags."""
        text = self.masker.text("".join(texts))
        data = errors.bounded(text).encode("utf-8", "replace")
        if len(data) > ERROR_LIMIT + 256:  # many characters of more than one byte
            data = errors.bounded(text, ERROR_LIMIT // 4).encode("utf-8", "replace")
        return data, CUT if len(data) < len(text) else 0

    def complain(self) -> None:
        """Says on stderr, once in a process, that requests go unrecorded and why."""
        error = self.writer and self.writer.error
        if error and not self._complained:
            self._complained = True
            try:
                print(
                    f"standfast: cannot record requests: {error};"
                    " the application runs on, unrecorded",
                    file=sys.stderr,
                )
            except (OSError, ValueError):
                pass  # stderr is closed: there is nobody to tell

    def renew(self) -> None:
        """Called in a child after a fork: the parent's journal is not the child's."""
        self._lock = threading.Lock()
        if self.writer is not None:
            self._first_seq = self.writer.next_seq
            self.writer = None
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


def _raw(text: str) -> bytes:
    """The bytes that the server made ``text`` from: WSGI decodes them as Latin-1 (PEP 3333)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


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
