"""Workers that wait for a client in their main thread, seen at every look.

A server of one request at a time that reads from a client who sends nothing is ended by its
time-out, often before any request hangs for long enough to be asked about, or without one: then the
last looks tell what it was doing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from standfast.store.evidence import CLIENT_WAIT, Fact, Source
from standfast.watch.facts import client_wait_words
from standfast.watch.liveness import Process
from standfast.watch.waits import REQUEST, RESPONSE, ClientWait

from .collector import Death, Living
from .sockets import Connections, waits_on_client

#: It must have waited for so long, and still have done so this close to its end, in nanoseconds.
_LONG_NS = 1_000_000_000
_NEAR_NS = 3_000_000_000


class _Wait(NamedTuple):
    part: str
    since_ns: int
    last_ns: int


class ClientWaits:
    """Remembers of each worker since when its main thread has waited for a client."""

    def __init__(self) -> None:
        self._waits: dict[Process, _Wait] = {}
        self._connections = Connections()

    def look(self, living: Sequence[Living]) -> None:
        """Notes who waits."""
        now_ns = time.time_ns()
        for process, pid in {worker.process: worker.pid for worker in living}.items():
            part = waits_on_client(pid, pid, self._connections)
            before = self._waits.get(process)
            if part is None:
                self._waits.pop(process, None)
            else:
                since_ns = before.since_ns if before and before.part == part else now_ns
                self._waits[process] = _Wait(part, since_ns, now_ns)

    def facts(self, death: Death) -> list[Fact]:
        """That the worker waited for a client until it ended."""
        wait = self._waits.get(death.process)
        if wait is None or wait.last_ns < death.died_ns - _NEAR_NS:
            return []
        if wait.last_ns - wait.since_ns < _LONG_NS:
            return []
        waited_s = round((wait.last_ns - wait.since_ns) / 1e9, 1)
        part = wait.part if wait.part == RESPONSE else REQUEST
        words = client_wait_words(ClientWait("the main thread", part))
        data = {"part": part, "server": "", "waited_s": waited_s}
        words = f"{words}, for at least {waited_s:g} s"
        return [Fact(CLIENT_WAIT, Source.PROC, wait.last_ns, words, data)]

    def forget(self, death: Death) -> None:
        """Its wait is of no interest any more."""
        self._waits.pop(death.process, None)

    def close(self) -> None:
        """Nothing is held open."""
