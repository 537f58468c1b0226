"""Rankings of suspects, made beside the pages: one of many incidents takes a second or more."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from sqlalchemy import Engine

from standfast.diagnose.suspects import Ranking, rank
from standfast.diagnose.traffic import traffic
from standfast.store.period import Period

#: A page waits this long for a ranking before it says that one is being made, in seconds.
PATIENCE_S = 0.05
#: Exposure grows while nobody dies: a ranking older than this is made anew, in seconds.
STALE_S = 60.0
_SUSPECTS = 50
#: So many rankings are kept; a person looks at few periods.
_MOST = 64


@dataclass(frozen=True)
class Ranked:
    """A ranking, None where there is nobody to suspect. ``culprits`` has by incident and request
    (their numbers in the store) the probability that this request was it."""

    ranking: Ranking | None
    incidents: int
    culprits: dict[int, dict[int, float]]
    made_ns: int


@dataclass
class _Entry:
    version: object
    asked_s: float
    future: Future[Ranked]
    last: Ranked | None = None


class Rankings:
    """The rankings that were asked for. Any thread may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, "ranking")
        self._lock = threading.Lock()
        self._entries: dict[tuple[int, str], _Entry] = {}

    def of(
        self,
        app: tuple[int, str],
        name: str,
        period: Period,
        excluded: Sequence[int],
        version: object,
    ) -> Ranked | None:
        """The last ranking for a period of an application, None where the first is being made.

        ``name`` stands for the period however its ends move, ``version`` for the incidents in it.
        """
        key = (app[0], name)
        with self._lock:
            entry = self._entries.get(key)
            now_s = time.monotonic()
            if entry is None or (
                entry.future.done()
                and (entry.version != version or now_s - entry.asked_s > STALE_S)
            ):
                future = self._pool.submit(_make, self._engine, app[1], period, excluded)
                last = _result(entry) if entry is not None else None
                entry = self._entries[key] = _Entry(version, now_s, future, last)
                while len(self._entries) > _MOST:
                    # Nobody waits for it any more: many periods must not queue up behind it.
                    self._entries.pop(min(self._entries, key=self._age)).future.cancel()
        wait([entry.future], PATIENCE_S)
        return _result(entry)

    def close(self) -> None:
        """Ends the work that nobody waits for any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _age(self, key: tuple[int, str]) -> float:
        return self._entries[key].asked_s


def _result(entry: _Entry) -> Ranked | None:
    if entry.future.done() and not entry.future.cancelled() and not entry.future.exception():
        return entry.future.result()
    return entry.last


def _make(engine: Engine, app: str, period: Period, excluded: Sequence[int]) -> Ranked:
    found = traffic(engine, app, period, excluded)
    if found is None:
        return Ranked(None, 0, {}, time.time_ns())
    ranking = rank(found.incidents, found.exposure, limit=_SUSPECTS)
    culprits = {
        incident_id: dict(zip(requests, probabilities, strict=True))
        for (incident_id, requests), probabilities in zip(found.ids, ranking.culprits, strict=True)
    }
    return Ranked(ranking, len(found.incidents), culprits, time.time_ns())
