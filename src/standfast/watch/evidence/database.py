"""Whether the application's database can be reached, asked without ever waiting for it."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from standfast.store.evidence import DATABASE_DOWN, Fact, Source

from .collector import Death, Living
from .later import Later

#: How long it may take to answer, and how often it is asked, in seconds.
ANSWER_S = 2.0
ASK_S = 1.0
#: How often a name is looked up, in seconds, and how many of its addresses are tried.
LOOK_UP_S = 5.0
_MOST_PLACES = 8
#: The family of an address, and the address as connect(2) wants it.
_Place = tuple[int, Any]
_PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432, "postgres": 5432, "redis": 6379}


class Database:
    """Opens a connection to the address now and then and closes it at once.

    A name is looked up again and again, aside: it may stand for another machine after a failover.
    Where it cannot be looked up now, the addresses that it had stand.
    """

    def __init__(self, address: str) -> None:
        """``address`` is a URL; of it only host and port are used, and shown."""
        parts = urlsplit(address)
        scheme = parts.scheme.partition("+")[0]
        self._host, self._port = parts.hostname or "", parts.port or _PORTS.get(scheme, 0)
        self._places: list[_Place] = []
        self._untried: list[_Place] = []
        self._looked_up: Later[list[_Place]] | None = None
        self._look_up_at = 0.0
        self._socket: socket.socket | None = None
        self._asked_at = 0.0
        self._ask_at = 0.0
        self._down: Fact | None = None

    def look(self, living: Sequence[Living]) -> None:
        """Goes one step on with asking."""
        now = time.monotonic()
        if not (self._host and self._port):
            return
        self._look_up(now)
        if self._socket is not None:
            self._check(self._socket, now)
        elif self._untried:
            self._ask(now)
        elif now >= self._ask_at and self._places:
            self._ask_at = now + ASK_S
            self._untried = list(self._places)
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

    def _look_up(self, now: float) -> None:
        if self._looked_up is None and now >= self._look_up_at:
            self._look_up_at = now + LOOK_UP_S
            self._looked_up = _look_up(self._host, self._port)
        if self._looked_up is not None and self._looked_up.is_done:
            found = self._looked_up.result()
            self._looked_up = None
            if found and set(found) != set(self._places):
                # What was being tried may be a machine that it no longer is.
                self.close()
                self._places, self._untried, self._ask_at = found, [], 0.0

    def _ask(self, now: float) -> None:
        self._asked_at = now
        family, address = self._untried.pop(0)
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            code = self._socket.connect_ex(address)
        except OSError as error:  # no such family here
            code = error.errno or errno.EAFNOSUPPORT
        if code not in (0, errno.EINPROGRESS):
            self._answered(code)

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
            self._down, self._untried = None, []
        elif not self._untried and self._down is None:
            place = f"{self._host} port {self._port}"
            words = f"the database at {place} cannot be reached: {os.strerror(code)}"
            data = {"address": f"{self._host}:{self._port}", "error": os.strerror(code)}
            self._down = Fact(DATABASE_DOWN, Source.PROBE, time.time_ns(), words, data)


def _look_up(host: str, port: int) -> Later[list[_Place]]:
    def look_up() -> list[_Place]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(int(family), address) for family, _, _, _, address in found][:_MOST_PLACES]

    return Later(look_up)
