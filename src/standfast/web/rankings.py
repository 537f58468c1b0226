"""Rankings of suspects, made beside the pages: one of many incidents takes seconds.

Applications take turns, whatever number of rankings is asked for of one; and of the pages' threads
each has a few to wait in.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Engine

from standfast.store.period import Period

from . import ranker
from .judgements import Judgements
from .ranker import Ranked, Wanted

_log = logging.getLogger("standfast.web")
#: A page waits this long for a ranking before it says that one is being made, in seconds.
PATIENCE_S = 0.05
#: Exposure grows while nobody dies: a ranking older than this is made anew, in seconds.
STALE_S = 60.0
#: Up to so many incidents a ranking takes less time than to start a process for it.
_FEW = 200
#: So many of the pages' threads, of which there are 40, may wait for rankings at a time, and so
#: many for those of one application.
_MOST_WAITING = 20
_WAITING_OF_ONE = 4
#: So many rankings of one application are kept; a person looks at few periods.
_MOST_OF_ONE = 16


_Made = Future[Ranked]


class _Job(NamedTuple):
    made: _Made
    make: Callable[[Wanted], Ranked]
    wanted: Wanted


@dataclass
class _Entry:
    version: object
    asked_s: float
    future: _Made
    last: Ranked | None = None


class Rankings:
    """The rankings that were asked for. Any thread may ask."""

    def __init__(self, engine: Engine, judgements: Judgements) -> None:
        self._engine = engine
        self._judgements = judgements
        self._pool = ThreadPoolExecutor(1, "ranking")
        self._lock = threading.Lock()
        #: By application, whose turn is next first.
        self._queues: dict[int, deque[_Job]] = {}
        self._waiting: Counter[int] = Counter()
        self._entries: dict[tuple[int, str], _Entry] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def of(
        self,
        app: tuple[int, str],
        name: str,
        period: Period,
        patience_s: float = PATIENCE_S,
    ) -> Ranked | None:
        """The ranking for a period of an application: the last one, where a new one takes longer
        than ``patience_s`` seconds, and None where there is no last one. Where many wait already,
        nobody else does.

        ``name`` stands for the period however its ends move.
        """
        known = list(self._judgements.of(app[0], period))
        version = self._judgements.version
        judged = self._judgements.verdict(app[1], None, known)
        cleared = sorted(judged.clears_requests())
        wanted = Wanted(app[1], period, cleared, judged.culprits_known())
        key = (app[0], name)
        with self._lock:
            entry = self._entries.get(key)
            now_s = time.monotonic()
            if entry is None or (
                entry.future.done()
                and (entry.version != version or now_s - entry.asked_s > STALE_S)
            ):
                beside = len(known) > _FEW
                future = self._submit(app[0], self._beside if beside else self._here, wanted)
                last = _result(entry) if entry is not None else None
                entry = self._entries[key] = _Entry(version, now_s, future, last)
                self._drop_oldest(app[0])
            # Each who waits holds a thread that others' pages need.
            waits = (
                patience_s > PATIENCE_S
                and self._waiting[app[0]] < _WAITING_OF_ONE
                and self._waiting.total() < _MOST_WAITING
            )
            self._waiting[app[0]] += waits
        try:
            return _result(entry, patience_s if waits else PATIENCE_S)
        finally:
            with self._lock:
                self._waiting[app[0]] -= waits
                self._waiting += Counter()  # keeps none for which nobody waits

    def close(self) -> None:
        """Ends the work that nobody waits for any more."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _here(self, wanted: Wanted) -> Ranked:
        return ranker.make(self._engine, wanted)

    def _beside(self, wanted: Wanted) -> Ranked:
        with self._lock:
            if self._closed:
                raise RuntimeError("the dashboard has been closed")
            child = self._child = ranker.start()
        try:
            return ranker.talk(child, self._engine, wanted)
        finally:
            with self._lock:
                self._child = None

    def _submit(self, app_id: int, make: Callable[[Wanted], Ranked], wanted: Wanted) -> _Made:
        made = _Made()
        made.add_done_callback(self._told)
        self._queues.setdefault(app_id, deque()).append(_Job(made, make, wanted))
        self._pool.submit(self._work)
        return made

    def _work(self) -> None:
        """Makes one ranking, of the application whose turn it is."""
        with self._lock:
            app_id = next(iter(self._queues))
            queue = self._queues.pop(app_id)
            made, make, wanted = queue.popleft()
            if queue:
                self._queues[app_id] = queue
        if not made.set_running_or_notify_cancel():
            return
        try:
            made.set_result(make(wanted))
        except BaseException as error:  # told to whoever waits
            made.set_exception(error)

    def _drop_oldest(self, app_id: int) -> None:
        """Nobody waits for them any more: many periods must not queue up behind them."""
        mine = sorted((key for key in self._entries if key[0] == app_id), key=self._age)
        for key in mine[:-_MOST_OF_ONE]:
            self._entries.pop(key).future.cancel()

    def _told(self, future: _Made) -> None:
        """A ranking that fails must not fail in silence."""
        if not future.cancelled() and not self._closed and (error := future.exception()):
            _log.error("the suspects cannot be ranked", exc_info=error)

    def _age(self, key: tuple[int, str]) -> float:
        return self._entries[key].asked_s


def _result(entry: _Entry, patience_s: float = 0.0) -> Ranked | None:
    """The last ranking where the new one is not there in time, was called off or has failed."""
    with suppress(Exception):
        return entry.future.result(patience_s)
    return entry.last
