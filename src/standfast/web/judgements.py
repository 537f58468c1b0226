"""The verdicts on all incidents, kept in memory: judging ten thousand takes seconds.

They are judged once, and again when their evidence grows. What a verdict rests on stays in the
store; of each case only what sums over a period need is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Table, func, select

from standfast.diagnose.verdict import Case, Judged, PeriodVerdict, combine, judge, load
from standfast.store.period import ALWAYS, Period
from standfast.store.tables import HANG, evidence, incident

#: So long what was found is taken for true, in seconds.
FRESH_S = 1.0
_CHUNK = 400
#: A search looks at so many requests of one incident.
_SEARCHED = 100
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


class _Last(NamedTuple):
    """The last row of a table, and whose it is."""

    id: int = 0
    worker_id: int | None = None


class _Mark(NamedTuple):
    """How far the store has been read, and the times of its first and last incident."""

    incident: _Last = _Last()
    fact: _Last = _Last()
    first_ns: int | None = None
    last_ns: int | None = None


class Judgements:
    """The verdicts, by incident. Any thread may ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: dict[int, Known] = {}
        self._looked_s = float("-inf")
        self._seen = _Mark()
        self._ordered: dict[int, list[Known]] = {}
        self._verdicts: dict[object, PeriodVerdict] = {}
        self._verdicts_lock = threading.Lock()

    @property
    def version(self) -> object:
        """What changes when any verdict may have."""
        return self._seen

    def refresh(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Judges what is new. ``progress`` is told how many of how many are judged."""
        with self._lock:
            if time.monotonic() - self._looked_s < FRESH_S:
                return
            with self._engine.connect() as connection:
                seen = _look(connection)
                changed = self._changed(connection, seen) if seen != self._seen else []
            for at in range(0, len(changed), _CHUNK):
                self._judge(changed[at : at + _CHUNK])
                progress(min(at + _CHUNK, len(changed)), len(changed))
            # Only now: what could not be read is asked for again.
            if seen != self._seen:
                self._drop_gone(seen)
                self._order()
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

    def _changed(self, connection: Connection, seen: _Mark) -> list[int]:
        """The incidents that are new, that more is known of, or that were hangs and are none."""
        ids = select(incident.c.id)
        if not self._goes_on(connection):
            return list(connection.execute(ids).scalars())
        before = self._seen
        told = select(evidence.c.worker_id).where(evidence.c.id > before.fact.id)
        hangs = [known.id for known in self._known.values() if known.judged.case.kind == HANG]
        changed = set(connection.execute(ids.where(incident.c.id > before.incident.id)).scalars())
        if seen.fact != before.fact:
            changed |= set(connection.execute(ids.where(incident.c.worker_id.in_(told))).scalars())
        for at in range(0, len(hangs), _CHUNK):
            some = incident.c.id.in_(hangs[at : at + _CHUNK])
            changed |= set(connection.execute(ids.where(some, incident.c.kind != HANG)).scalars())
        return sorted(changed)

    def _goes_on(self, connection: Connection) -> bool:
        """Whether the last rows that were seen are there: numbers of rows that were deleted are
        given again, but never below one that is left."""
        tables = ((incident, self._seen.incident), (evidence, self._seen.fact))
        return all(
            connection.execute(select(table.c.worker_id).where(table.c.id == last.id)).scalar()
            == last.worker_id
            for table, last in tables
            if last.worker_id is not None
        ) and bool(self._known)

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

    def _drop_gone(self, seen: _Mark) -> None:
        """Incidents leave the store by their age."""
        first_ns = seen.first_ns
        for known in list(self._known.values()):
            if first_ns is None or known.died_ns < first_ns:
                del self._known[known.id]

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
    words += [
        f"{one.method} {one.uri[:500]} {one.client} {one.name}" for one in case.requests[:_SEARCHED]
    ]
    return "\n".join(words).casefold()


def _look(connection: Connection) -> _Mark:
    def last(table: Table) -> _Last:
        newest = select(table.c.id, table.c.worker_id).order_by(table.c.id.desc()).limit(1)
        row = connection.execute(newest).first()
        return _Last() if row is None else _Last(row.id, row.worker_id)

    died_ns = incident.c.died_ns
    return _Mark(
        last(incident),
        last(evidence),
        # One at a time: each is one step in an index.
        connection.execute(select(func.min(died_ns))).scalar(),
        connection.execute(select(func.max(died_ns))).scalar(),
    )
