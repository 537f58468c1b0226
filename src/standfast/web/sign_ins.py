"""Whose password is looked at next: an argon2 hash needs 64 MiB and all of a processor.

Few are looked at at once, in threads of their own, so that pages and share links do not wait for
them. Known browsers do not queue behind strangers, and no address fills the queue.
"""

from __future__ import annotations

import os
from collections import Counter

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from standfast.store import people

#: How many tries of one address wait or are looked at, and how many of all addresses.
OF_ONE_ADDRESS = 4
OF_ALL = 400
_BUSY = people.SignIn(None, 2.0)


class SignIns:
    """The queues of those whose password is to be looked at."""

    def __init__(self) -> None:
        self._known = CapacityLimiter(1)
        self._strangers = CapacityLimiter(max(1, (os.cpu_count() or 1) // 2))
        self._waiting: Counter[str] = Counter()

    async def look_at(self, engine: Engine, made: people.Try, address: str) -> people.SignIn:
        """What comes of a try; refused for a moment where too many wait already."""
        queue = "known browsers" if made.known else people.network_of(address)
        if not made.known and (
            self._waiting[queue] >= OF_ONE_ADDRESS or self._waiting.total() >= OF_ALL
        ):
            return _BUSY
        self._waiting[queue] += 1
        try:
            limiter = self._known if made.known else self._strangers
            return await to_thread.run_sync(people.look_at, engine, made, limiter=limiter)
        finally:
            self._waiting[queue] -= 1
            self._waiting += Counter()  # keeps no address that waits no more
