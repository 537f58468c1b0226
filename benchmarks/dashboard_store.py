"""A month of a busy application in a store: what the dashboard is measured on.

The roll-ups are made by the watcher's own code; everything else goes straight into the tables,
shaped as the watcher writes it.
"""

from __future__ import annotations

import itertools
import random
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine, Table

from standfast.store import writing
from standfast.store.evidence import CURVE, HOST_MEMORY, LOAD, Fact, Source, add_facts
from standfast.store.period import DAY_NS, MINUTE_NS
from standfast.store.places import place
from standfast.store.tables import (
    FAILED,
    OPEN,
    SLOW,
    UNFINISHED,
    application,
    incident,
    ordinary_request,
    request,
    route,
    worker,
)
from standfast.watch.facts import exit_fact
from standfast.watch.rollups import Rollups

from .dashboard_ends import ENDS, GIB, MIB, THREADS, crash, memory

APP = "shop"
DAYS = 30
ROUTES = 60
#: Places in the code that errors come from.
PLACES = 200
#: Workers that run at the same time, six on a host.
_SLOTS = 24
_A_HOST = 6
_BATCH = 500
_DAY_MINUTES = 24 * 60
_WORDS = ("order", "product", "customer", "invoice", "basket", "report", "label", "payment")
_ACTIONS = ("", "/{int}", "/{int}/edit", "/{int}/items", "/search", "/{int}/pdf", "/export", "/new")

Say = Callable[[str], None]
Row = dict[str, Any]


class Sizes(NamedTuple):
    """How much there is of everything."""

    requests: int = 10_000_000
    kept: int = 100_000
    incidents: int = 10_000


@dataclass
class _Life:
    """One worker. ``end_ns`` is None while it lives."""

    id: int
    slot: int
    start_ns: int
    end_ns: int | None
    seq: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def pid(self) -> int:
        return 1_000 + self.id


class Filler:
    """Fills an empty store with what happened up to ``now_ns``."""

    def __init__(self, engine: Engine, sizes: Sizes, say: Say) -> None:
        self._engine, self._sizes, self._say = engine, sizes, say
        self._chance = random.Random(1)
        self._numpy = np.random.default_rng(1)
        self._end_ns = time.time_ns()
        self._start_ns = self._end_ns - DAYS * DAY_NS
        self._templates = [f"/{word}{action}" for word in _WORDS for action in _ACTIONS][:ROUTES]
        # A few routes have most of the traffic, as everywhere.
        self._weights = [1 / (rank + 1) for rank in range(ROUTES)]
        self._lives: list[list[_Life]] = []
        self._errors = [_stack(number) for number in range(PLACES)]
        self._agents = [_agent(number) for number in range(40)]

    def fill(self) -> None:
        """Writes everything; takes about three minutes at full size."""
        with writing(self._engine) as connection:
            connection.execute(application.insert().values(id=1, name=APP))
            connection.execute(application.insert().values(id=2, name="another customer's"))
            connection.execute(
                route.insert(),
                [
                    {"id": number, "application_id": 1, "kind": "http", "template": template}
                    for number, template in enumerate(self._templates, 1)
                ],
            )
            self._workers(connection)
        self._roll_up()
        self._keep()
        self._incidents()
        self._newest()

    def _workers(self, connection: Connection) -> None:
        """Each slot's workers follow one another; all but the last of each have died."""
        numbers = itertools.count(1)
        deaths: list[list[int]] = [[] for _ in range(_SLOTS)]
        for _ in range(self._sizes.incidents):
            deaths[self._chance.randrange(_SLOTS)].append(self._moment())
        for slot, moments in enumerate(deaths):
            lives, start_ns = [], self._start_ns
            for end_ns in [*sorted(moments), None]:
                lives.append(_Life(next(numbers), slot, start_ns, end_ns))
                start_ns = end_ns or 0
            self._lives.append(lives)
        rows = [self._worker(life) for lives in self._lives for life in lives]
        _insert(connection, worker, rows)

    def _worker(self, life: _Life) -> Row:
        return {
            "id": life.id,
            "uid": f"{life.id:032x}",
            "application_id": 1,
            "host": f"web{life.slot // _A_HOST + 1}.shop.example",
            "pid": life.pid,
            "pid_namespace": 4_026_531_836,
            "start_ticks": life.id,
            "boot_id": "6f9a4f0e-3d0b-4a53-9d0b-1a8b1f5d8c11",
            "server": "gunicorn 23.0.0",
            "revision": "4f5c2d1",
            "started_ns": life.start_ns,
            "last_seen_ns": life.end_ns or self._end_ns,
            "died_ns": life.end_ns,
            "signal": None,
            "exit_code": None,
        }

    def _roll_up(self) -> None:
        """Ordinary requests, a day at a time; days and nights differ."""
        rng = self._numpy
        hours = np.arange(_DAY_MINUTES) / 60
        by_minute = 1.1 + np.sin((hours - 9) / 24 * 2 * np.pi)
        cells = np.outer(self._weights, by_minute).ravel()
        cells /= cells.sum()
        each_day = rng.multinomial(self._sizes.requests, np.full(DAYS, 1 / DAYS))
        first = self._start_ns // MINUTE_NS + 1
        for day, count in enumerate(each_day.tolist()):
            counts = rng.multinomial(count, cells)
            durations = np.minimum(rng.lognormal(17.5, 0.9, count), 9.9e8).astype(np.int64).tolist()
            rollups, at = Rollups(), 0
            for cell in np.flatnonzero(counts).tolist():
                number, minute = divmod(cell, _DAY_MINUTES)
                own = durations[at : at + int(counts[cell])]
                at += len(own)
                key = (number + 1, first + day * _DAY_MINUTES + minute)
                rollups.samples[key] = [(0, ns, ns // 3, 5_000, 200, 0) for ns in own]
            with writing(self._engine) as connection:
                rollups.store(connection)
            self._say(f"ordinary requests: day {day + 1} of {DAYS}")

    def _keep(self) -> None:
        """Slow and failed requests, a part at a time."""
        for at in range(0, self._sizes.kept, 10_000):
            rollups, rows = Rollups(), []
            for number in range(at, min(at + 10_000, self._sizes.kept)):
                row = self._closed(SLOW if number % 2 else FAILED)
                rows.append(row)
                rollups.add(
                    row["route_id"], row["begun_ns"], row["duration_ns"], row["cpu_ns"],
                    row["sent"], row["outcome"],
                )  # fmt: skip
                if row["outcome"] == FAILED:
                    rollups.failures.add(1, row["place"], row["status"], row["begun_ns"])
            with writing(self._engine) as connection:
                _insert(connection, request, rows)
                rollups.store(connection)
            self._say(f"slow and failed requests: {at + len(rows):,} of {self._sizes.kept:,}")

    def _closed(self, outcome: str) -> Row:
        chance, begun_ns = self._chance, self._moment()
        row = self._request(self._life(begun_ns), begun_ns, outcome)
        if outcome == SLOW:
            row["duration_ns"] = int(1e9 + chance.expovariate(1 / 2e9))
            row["status"] = 200
        else:
            row["duration_ns"] = int(chance.lognormvariate(17.5, 1))
            row["status"] = chance.choice((500, 500, 500, 502, 503))
            if chance.random() < 0.9:
                row["error"] = self._errors[min(int(chance.expovariate(1 / 30)), PLACES - 1)]
                row["place"] = place(row["error"])
        return row | {"cpu_ns": row["duration_ns"] // 3, "sent": 5_000}

    def _incidents(self) -> None:
        dead = [life for lives in self._lives for life in lives if life.end_ns is not None]
        dead.sort(key=lambda life: life.end_ns or 0)
        for at in range(0, len(dead), _BATCH):
            with writing(self._engine) as connection:
                for number, life in enumerate(dead[at : at + _BATCH], at + 1):
                    self._incident(connection, number, life)
            self._say(f"incidents: {min(at + _BATCH, len(dead)):,} of {len(dead):,}")

    def _incident(self, connection: Connection, number: int, life: _Life) -> None:
        assert life.end_ns is not None
        chance, died_ns = self._chance, life.end_ns
        kinds, weights = zip(*ENDS, strict=True)
        (end,) = chance.choices(kinds, weights)
        code, facts = end(chance, life.pid, died_ns)
        connection.execute(
            incident.insert().values(
                id=number, worker_id=life.id, application_id=1, died_ns=died_ns
            )
        )
        facts += [self._curve(life, died_ns, end is memory), *self._machine(died_ns)]
        facts.append(exit_fact(Source.PIDFD, died_ns, life.pid, code))
        ended = {"signal": None, "exit_code": None} | dict(facts[-1].data)
        connection.execute(worker.update().where(worker.c.id == life.id).values(ended))
        add_facts(connection, life.id, facts)
        taken = [
            self._request(life, died_ns - int(chance.expovariate(1 / 4e9)), UNFINISHED)
            | {"incident_id": number, "thread": THREADS[thread]}
            for thread in range(chance.randint(1, 8))
        ]
        if end in (crash, memory):
            taken[0] |= {"route_id": 6, "uri": f"/order/{number}/pdf?format=a{number % 7}"}
        _insert(connection, request, taken)

    def _curve(self, life: _Life, died_ns: int, grows: bool) -> Fact:
        """About a hundred samples, every five seconds and then every quarter of one."""
        chance = self._chance
        before = [5.0 * step for step in range(90, 10, -1)] + [0.25 * s for s in range(20, 0, -1)]
        rss = chance.randint(80, 200) * MIB
        samples = []
        for step, ago_s in enumerate(before):
            rss += 12 * MIB if grows and step > 60 else chance.randint(-(2**18), 2**18)
            cpu_s = round(400 - ago_s / 5, 2)
            samples.append([ago_s, rss, cpu_s, 9, 40 + step % 5, rss - 30 * MIB])
        words = f"the memory of process {life.pid} over the last {before[0]:.1f} s"
        return Fact(CURVE, "/proc", died_ns, words, {"samples": samples, "descriptor_limit": 1024})

    def _machine(self, died_ns: int) -> list[Fact]:
        load = round(self._chance.uniform(0.3, 3.0), 2)
        memory = {"available_bytes": 9 * GIB, "total_bytes": 16 * GIB, "pressure_full_avg10": 0.0}
        busy = {"load_1m": load, "processors": 8, "steal_share": 0.0}
        return [
            Fact(HOST_MEMORY, "/proc/meminfo", died_ns, "9.0 of 16.0 GiB were available", memory),
            Fact(LOAD, "/proc/loadavg", died_ns, f"the load was {load} on 8 processors", busy),
        ]

    def _newest(self) -> None:
        """What is in flight, and the ordinary requests of the last hour, which are kept."""
        living = [lives[-1] for lives in self._lives]
        hour = self._sizes.requests // (DAYS * 24)
        with writing(self._engine) as connection:
            flying = [
                self._request(life, self._end_ns - 2_000_000_000, OPEN) for life in living * 2
            ]
            _insert(connection, request, flying)
            rows = []
            for at in range(hour):
                life = self._chance.choice(living)
                begun_ns = self._end_ns - DAY_NS // 24 + at * (DAY_NS // 24) // hour
                whole = self._request(life, begun_ns, OPEN)
                names = ("client", "method", "uri", "host", "forwarded_for", "user_agent")
                rows.append(
                    {name: whole[name] for name in ("begun_ns", "route_id", "worker_id", "seq")}
                    | {"duration_ns": int(self._chance.lognormvariate(17.5, 0.9)), "status": 200}
                    | {"raw": "\0".join(whole[name] for name in names).encode()}
                )
            _insert(connection, ordinary_request, rows)

    def _request(self, life: _Life, begun_ns: int, outcome: str) -> Row:
        chance = self._chance
        (number,) = chance.choices(range(ROUTES), self._weights)
        uri = self._templates[number].replace("{int}", str(chance.randrange(1_000_000)))
        if chance.random() < 0.6:
            uri += f"?ref=mail-{chance.randrange(5_000)}&page={chance.randrange(9)}&sort=price"
        return {
            "application_id": 1,
            "worker_id": life.id,
            "seq": next(life.seq),
            "route_id": number + 1,
            "outcome": outcome,
            "begun_ns": begun_ns,
            "kind": "http",
            "method": chance.choice(("GET", "GET", "GET", "POST")),
            "uri": uri,
            "client": f"192.0.2.{chance.randrange(256)}",
            "forwarded_for": f"198.51.100.{chance.randrange(256)}",
            "host": "shop.example",
            "user_agent": chance.choice(self._agents),
            "thread": chance.choice(THREADS),
            "cut": False,
            "aborted": False,
            "incident_id": None,
            "duration_ns": None,
            "status": None,
            "cpu_ns": None,
            "sent": None,
            "error": None,
            "place": None,
        }

    def _moment(self) -> int:
        return self._chance.randrange(self._start_ns, self._end_ns)

    def _life(self, moment_ns: int) -> _Life:
        """Some worker that lived then."""
        lives = self._chance.choice(self._lives)
        return lives[bisect(lives, moment_ns, key=lambda life: life.start_ns) - 1]


def _stack(number: int) -> str:
    """An error with its stack, one to four KiB long."""
    frames = "".join(
        f'  File "/srv/shop/lib/python3.11/site-packages/framework/core_{depth}.py",'
        f" line {100 + depth}, in dispatch_{depth}\n"
        f"    response = self.handlers[{depth}](request, *arguments)\n"
        for depth in range(4 + number % 14)
    )
    own = (
        f'  File "/srv/shop/app/{_WORDS[number % 8]}.py", line {number}, in handle_{number}\n'
        "    return make(request)\n"
    )
    kind = ("ValueError", "KeyError", "app.errors.OutOfStock", "OSError")[number % 4]
    last = f"{kind}: {number} is not what {_WORDS[number % 8]} wants\n"
    return f"Traceback (most recent call last):\n{frames}{own}{last}"


def _agent(number: int) -> str:
    return f"Mozilla/5.0 (X11; Linux x86_64; rv:{100 + number}.0) Gecko/20100101 Firefox/{number}.0"


def _insert(connection: Connection, table: Table, rows: list[Row]) -> None:
    for at in range(0, len(rows), _BATCH):
        connection.execute(table.insert(), rows[at : at + _BATCH])
