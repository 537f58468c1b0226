"""Whether the application's database can be reached, asked without ever waiting for it."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from standfast.store.evidence import DATABASE_DOWN, Fact, Source

from .collector import Death, Living

#: How long it may take to answer, and how often it is asked, in seconds.
ANSWER_S = 2.0
ASK_S = 1.0
_PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432, "postgres": 5432, "redis": 6379}


class Database:
    """Opens a connection to the address now and then and closes it at once."""

    def __init__(self, address: str) -> None:
        """``address`` is a URL; of it only host and port are used, and shown."""
        parts = urlsplit(address)
        scheme = parts.scheme.partition("+")[0]
        self._place = (parts.hostname or "", parts.port or _PORTS.get(scheme, 0))
        self._socket: socket.socket | None = None
        self._asked_at = 0.0
        self._ask_at = 0.0
        self._down: Fact | None = None

    def look(self, living: Sequence[Living]) -> None:
        """Goes one step on with asking."""
        now = time.monotonic()
        if self._socket is not None:
            self._check(self._socket, now)
        elif now >= self._ask_at and all(self._place):
            self._ask(now)

    def facts(self, death: Death) -> list[Fact]:
        """That it could not be reached, if so, and since when."""
        self.look(())
        if self._down is None or self._down.at_ns > death.died_ns + ANSWER_S * 1e9:
            return []
        return [self._down]

    def forget(self, death: Death) -> None:
        """Nothing is kept of single workers."""

    def close(self) -> None:
        """Lets go of a connection that is being made."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, now: float) -> None:
        self._asked_at, self._ask_at = now, now + ASK_S
        try:
            family, kind, _, _, place = socket.getaddrinfo(
                *self._place, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )[0]
        except OSError:
            self._resolve()
            return
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        code = self._socket.connect_ex(place)
        if code not in (0, errno.EINPROGRESS):
            self._answered(code)

    def _resolve(self) -> None:
        """A name is looked up once; a resolver that is away must not hold the watcher up again."""
        host, port = self._place
        try:
            self._place = (str(socket.getaddrinfo(host, port)[0][4][0]), port)
        except OSError:
            self._place = ("", 0)

    def _check(self, asked: socket.socket, now: float) -> None:
        waiting = select.poll()
        waiting.register(asked, select.POLLOUT)
        if waiting.poll(0):
            self._answered(asked.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        elif now > self._asked_at + ANSWER_S:
            self._answered(errno.ETIMEDOUT)

    def _answered(self, code: int) -> None:
        self.close()
        if not code:
            self._down = None
        elif self._down is None:
            host, port = self._place
            words = f"the database at {host} port {port} cannot be reached: {os.strerror(code)}"
            data = {"address": f"{host}:{port}", "error": os.strerror(code)}
            self._down = Fact(DATABASE_DOWN, Source.PROBE, time.time_ns(), words, data)
