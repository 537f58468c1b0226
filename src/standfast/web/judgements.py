"""The verdicts on all incidents, kept in memory: judging ten thousand takes seconds.

They are judged once, and again when their evidence grows. What a verdict rests on stays in the
store; of each case only what sums over a period need is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, func, select

from standfast.diagnose.verdict import Case, Judged, PeriodVerdict, combine, judge, load
from standfast.store.period import ALWAYS, Period
from standfast.store.tables import evidence, incident

#: So long what was found is taken for true, in seconds.
FRESH_S = 1.0
_CHUNK = 400
#: So many sums over periods are kept: pages ask for the same few again and again.
_MOST_VERDICTS = 16


@dataclass(frozen=True, eq=False)
class Known:
    """One incident and the verdict on it, another object when it is judged anew. ``died_ns`` is
    when the worker died or was found to hang, ``routes`` are those that were in flight."""

    id: int
    app_id: int
    died_ns: int
    host: str
    judged: Judged
    routes: tuple[str, ...]
    text: str


class Judgements:
    """The verdicts, by incident. Any thread may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: dict[int, Known] = {}
        self._stamps: dict[int, tuple[int, str]] = {}
        self._looked_s = float("-inf")
        self._seen: tuple[object, ...] = ()
        self._evidence = 0
        self._ordered: dict[int, list[Known]] = {}
        self._verdicts: dict[object, PeriodVerdict] = {}
        self._verdicts_lock = threading.Lock()

    @property
    def version(self) -> tuple[object, ...]:
        """What changes when any verdict may have."""
        return self._seen

    def refresh(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Judges what is new. ``progress`` is told how many of how many are judged."""
        with self._lock:
            if time.monotonic() - self._looked_s < FRESH_S:
                return
            with self._engine.connect() as connection:
                seen = _signature(connection)
                changed, facts = self._changed(connection) if seen != self._seen else ([], None)
            for at in range(0, len(changed), _CHUNK):
                self._judge(changed[at : at + _CHUNK])
                progress(min(at + _CHUNK, len(changed)), len(changed))
            if facts is not None:
                self._order()
                self._evidence = facts
            self._seen, self._looked_s = seen, time.monotonic()

    def of(self, app_id: int, period: Period = ALWAYS) -> Iterator[Known]:
        """The incidents of one application in a period, the newest first."""
        self.refresh()
        since_ns, until_ns = period
        for known in self._ordered.get(app_id, []):
            if since_ns is not None and known.died_ns < since_ns:
                return
            if until_ns is None or known.died_ns < until_ns:
                yield known

    def verdict(self, app: str, since_ns: int | None, known: Sequence[Known]) -> PeriodVerdict:
        """What the verdicts on these incidents come to."""
        key = (app, tuple(known))
        found = self._verdicts.get(key)
        if found is None:
            found = combine(app, None, [each.judged for each in known])
            with self._verdicts_lock:
                self._verdicts[key] = found
                while len(self._verdicts) > _MOST_VERDICTS:
                    del self._verdicts[next(iter(self._verdicts))]
        return replace(found, since_ns=since_ns)

    def one(self, app_id: int, incident_id: int) -> Known | None:
        """One incident, None where the application has none of this number."""
        self.refresh()
        known = self._known.get(incident_id)
        return known if known is not None and known.app_id == app_id else None

    def _changed(self, connection: Connection) -> tuple[list[int], int]:
        """The incidents that are to be judged, and the number of the last fact."""
        rows = connection.execute(
            select(incident.c.id, incident.c.worker_id, incident.c.died_ns, incident.c.kind)
        ).all()
        newest = connection.execute(select(func.max(evidence.c.id))).scalar() or 0
        told = connection.execute(
            select(evidence.c.worker_id).where(evidence.c.id > self._evidence).distinct()
        )
        workers = set(told.scalars())
        changed = [
            row.id
            for row in rows
            if row.worker_id in workers or self._stamps.get(row.id) != (row.died_ns, row.kind)
        ]
        self._stamps = {row.id: (row.died_ns, row.kind) for row in rows}
        for gone in self._known.keys() - self._stamps.keys():
            del self._known[gone]
        return changed, newest

    def _judge(self, ids: Sequence[int]) -> None:
        with self._engine.connect() as connection:
            apps = dict(
                connection.execute(
                    select(incident.c.id, incident.c.application_id).where(incident.c.id.in_(ids))
                ).all()
            )
        for case in load(self._engine, ids):
            verdict = judge(case)
            guilty = tuple(one for one in case.requests if one.name == verdict.culprit)
            self._known[case.incident_id] = Known(
                case.incident_id,
                apps[case.incident_id],
                case.died_ns,
                case.host,
                Judged(replace(case, requests=guilty, facts=(), errors=()), verdict),
                tuple({one.route for one in case.requests}),
                _text(case),
            )

    def _order(self) -> None:
        ordered: dict[int, list[Known]] = {}
        for known in sorted(
            self._known.values(), key=lambda each: (each.died_ns, each.id), reverse=True
        ):
            ordered.setdefault(known.app_id, []).append(known)
        self._ordered = ordered


def _text(case: Case) -> str:
    """What a search looks through."""
    words = [case.host, str(case.pid), case.signal or ""]
    words += [f"{one.method} {one.uri[:500]} {one.client} {one.name}" for one in case.requests]
    return "\n".join(words).casefold()


def _signature(connection: Connection) -> tuple[object, ...]:
    counts = connection.execute(
        select(func.count(), func.max(incident.c.id), func.max(incident.c.died_ns))
    ).one()
    facts = connection.execute(select(func.max(evidence.c.id))).scalar()
    return (*counts, facts)
