"""Whose password is looked at next: an argon2 hash needs 64 MiB and all of a processor.

Few are looked at at once, in threads of their own, so that pages and share links do not wait for
them. Known browsers do not queue behind strangers, no address fills the queue, and of strangers
those go first whose address has failed less: in a flood, that is whoever is no part of it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heapify, heappop, heappush
from itertools import count

from anyio import CapacityLimiter, Event, to_thread
from sqlalchemy import Engine

from standfast.store import people

#: How many tries of one address wait or are looked at, and how many of all addresses.
OF_ONE_ADDRESS = 4
OF_ALL = 400
_BUSY = people.SignIn(None, 2.0)


class SignIns:
    """The queues of those whose password is to be looked at."""

    def __init__(self) -> None:
        self._known = _Queue(1)
        self._strangers = _Queue(max(1, (os.cpu_count() or 1) // 2))
        self._waiting: Counter[str] = Counter()

    async def look_at(self, engine: Engine, made: people.Try, address: str) -> people.SignIn:
        """What comes of a try; refused for a moment where too many wait already."""
        whose = "known browsers" if made.known else people.network_of(address)
        of_one = self._waiting[whose]
        if not made.known and (of_one >= OF_ONE_ADDRESS or self._waiting.total() >= OF_ALL):
            return _BUSY
        queue = self._known if made.known else self._strangers
        self._waiting[whose] += 1
        try:
            async with queue.turn(made.failures + of_one):
                # Threads of its own: who waits for a turn holds none of those for pages.
                return await to_thread.run_sync(people.look_at, engine, made, limiter=queue.threads)
        finally:
            self._waiting[whose] -= 1
            self._waiting += Counter()  # keeps no address that waits no more


class _Queue:
    """``places`` turns at a time; who waits is let in by a number, the lowest first."""

    def __init__(self, places: int) -> None:
        self.threads = CapacityLimiter(places)
        self._free = places
        self._arrived = count()
        self._waiting: list[tuple[int, int, Event]] = []

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        """Waits for a turn, and gives it to the next one at the end."""
        if self._free:
            self._free -= 1
        else:
            called = Event()
            place = (number, next(self._arrived), called)
            heappush(self._waiting, place)
            try:
                await called.wait()
            except BaseException:  # cancelled: whose turn it was by then passes it on
                if called.is_set():
                    self._next()
                else:
                    self._waiting.remove(place)
                    heapify(self._waiting)
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        if self._waiting:
            heappop(self._waiting)[2].set()
        else:
            self._free += 1
