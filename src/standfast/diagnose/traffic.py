"""From the store to what the ranking of suspects starts from."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection, Engine, Float, Row, cast, func, select

from standfast.store.in_flight import in_flight
from standfast.store.period import ALWAYS, HOUR_NS, Period
from standfast.store.queries import requests_by_id
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
    texts_of,
    worker,
)

from .suspects import CERTAIN, Exposure, Incident, Request

#: So many closed requests of a route are looked at to find what sets the deadly ones apart.
SAMPLE = 5_000
_MOST_NS = 2**63 - 1
#: What is read of a request that was in flight.
_TOLD = ("id", "incident_id", "seq", "begun_ns", "method", "uri", "client", "user_agent")
_DAY_HOURS = 24
#: A culprit that is named with this probability or more leaves no doubt.
_NO_DOUBT = 0.99


@dataclass(frozen=True)
class Traffic:
    """Incidents, the newest first, and the exposure of the same time.

    ``ids`` has for each incident its own number and those of its requests, in the same order.
    """

    incidents: list[Incident]
    ids: list[tuple[int, list[int]]]
    exposure: Exposure


def traffic(
    engine: Engine,
    app: str,
    period: Period = ALWAYS,
    excluded: Collection[int] = (),
    culprits: Mapping[int, tuple[str, float]] | None = None,
) -> Traffic | None:
    """What happened to one application in a period; None where nothing did.

    ``excluded`` are numbers of incidents that no request has caused: they say nothing of
    suspects. ``culprits`` has by incident the request that its verdict names, by its id, and how
    probable that is.
    """
    with engine.connect() as connection:
        app_id = connection.execute(
            select(application.c.id).where(application.c.name == app)
        ).scalar()
        if app_id is None:
            return None
        incidents, ids = _incidents(connection, app_id, period, excluded, culprits or {})
        worker_s = _worker_seconds(connection, app_id, period)
        routes, count = _routes(connection, app_id, period)
    if not incidents or worker_s <= 0:
        return None
    numbers = _route_numbers(engine, app_id)
    exposure = Exposure(
        worker_s, routes, count, lambda name: _closed(engine, app_id, numbers.get(name, ()), period)
    )
    return Traffic(incidents, ids, exposure)


def _incidents(
    connection: Connection,
    app_id: int,
    period: Period,
    excluded: Collection[int],
    culprits: Mapping[int, tuple[str, float]],
) -> tuple[list[Incident], list[tuple[int, list[int]]]]:
    within = (incident.c.application_id == app_id, *period.covers(incident.c.died_ns))
    cleared = set(excluded)
    deaths = [
        death
        for death in connection.execute(
            select(incident)
            .where(*within)
            .order_by(incident.c.died_ns.desc(), incident.c.id.desc())
        )
        if death.id not in cleared
    ]
    told = (
        select(*[request.c[name] for name in _TOLD], route.c.template, worker.c.uid)
        .join(route, route.c.id == request.c.route_id)
        .join(worker, worker.c.id == request.c.worker_id)
        # Of a worker that hangs and lives, what hangs is open.
        .where(request.c.outcome.in_((UNFINISHED, OPEN)))
    )
    struck = in_flight(connection, told, [death.id for death in deaths])
    taken = {number: found.rows for number, found in struck}
    found = []
    for death in deaths:
        rows = taken[death.id]
        name, probability = culprits.get(death.id, ("", 0.0))
        ratio = likelihood_ratio(probability, len(rows))
        found.append(
            Incident(
                [
                    _unfinished(row, death.died_ns, ratio if _name(row) == name else 1.0)
                    for row in rows
                ]
            )
        )
    return found, [(death.id, [row.id for row in taken[death.id]]) for death in deaths]


def likelihood_ratio(probability: float, in_flight: int) -> float:
    """The evidence that makes one request of so many, all alike before, so probable."""
    if probability >= _NO_DOUBT:
        return CERTAIN
    return max(probability / (1 - probability) * max(in_flight - 1, 1), 1.0)


def _name(row: Row[Any]) -> str:
    return f"{row.uid}-{row.seq}"


def _unfinished(row: Row[Any], died_ns: int, evidence: float) -> Request:
    return _request(
        row.template,
        row.begun_ns,
        max(died_ns - row.begun_ns, 0),
        row.client,
        row.method,
        row.uri,
        row.user_agent,
        evidence,
    )


def _request(
    template: str,
    begun_ns: int,
    duration_ns: int,
    client: str,
    method: str,
    uri: str,
    user_agent: str,
    evidence: float = 1.0,
) -> Request:
    query = uri.partition("?")[2]
    return Request(
        route=template,
        duration_s=duration_ns / 1e9,
        parameters=tuple(parse_qsl(query, keep_blank_values=True, errors="backslashreplace")),
        client=client,
        user_agent=user_agent,
        method=method,
        hour=begun_ns // HOUR_NS % _DAY_HOURS,
        evidence=evidence,
    )


def _worker_seconds(connection: Connection, app_id: int, period: Period) -> float:
    """How long the application's workers lived in the period, together."""
    since_ns = period.since_ns or 0
    ended = func.coalesce(worker.c.died_ns, worker.c.last_seen_ns)
    mine = (worker.c.application_id == app_id) & (ended > since_ns)
    spans = connection.execute(select(worker.c.started_ns, ended.label("ended")).where(mine))
    until_ns = period.until_ns or _MOST_NS
    spans_ns = [max(min(row.ended, until_ns) - max(row.started_ns, since_ns), 0) for row in spans]
    return float(sum(spans_ns)) / 1e9


def _routes(connection: Connection, app_id: int, period: Period) -> tuple[dict[str, float], int]:
    """Request-seconds by route, and the number of requests, of all that were closed."""
    span = period.span()
    # As floating point: what a hostile journal claims adds up to more than an integer holds.
    summed = [func.sum(cast(span.table.c[name], Float)) for name in ("duration_ns", "count")]
    totals = connection.execute(
        select(route.c.template, *summed)
        .join(route, route.c.id == span.table.c.route_id)
        .where(route.c.application_id == app_id, *period.touches(span))
        .group_by(route.c.template)
    ).all()
    return {name: duration / 1e9 for name, duration, _ in totals}, int(sum(n for *_, n in totals))


def _route_numbers(engine: Engine, app_id: int) -> dict[str, list[int]]:
    with engine.connect() as connection:
        rows = connection.execute(
            select(route.c.id, route.c.template).where(route.c.application_id == app_id)
        )
        numbers: dict[str, list[int]] = {}
        for row in rows:
            numbers.setdefault(row.template, []).append(row.id)
    return numbers


def _closed(engine: Engine, app_id: int, numbers: Sequence[int], period: Period) -> list[Request]:
    """The last closed requests of a route: ordinary ones as long as they are kept, and the slow
    and the failed."""
    rows, kept = ordinary_request.c, request.c
    with engine.connect() as connection:
        plain = connection.execute(
            select(ordinary_request, route.c.template)
            .join(route, route.c.id == rows.route_id)
            .where(rows.route_id.in_(numbers), *period.covers(rows.begun_ns))
            .order_by(rows.id.desc())
            .limit(SAMPLE)
        ).all()
        oldest = min((row.begun_ns for row in plain), default=time.time_ns())
        newest: list[tuple[int, int]] = []
        for outcome in (SLOW, FAILED):
            # One after the other: each is a stretch of an index.
            ids = (
                select(kept.begun_ns, kept.id)
                .where(kept.outcome == outcome, kept.application_id == app_id)
                .where(kept.route_id.in_(numbers), *period.covers(kept.begun_ns))
                .where(kept.begun_ns >= oldest)
                .order_by(kept.begun_ns.desc())
                .limit(SAMPLE)
            )
            newest += [(row[0], row[1]) for row in connection.execute(ids)]
        whole = requests_by_id(connection, [number for _, number in nlargest(SAMPLE, newest)])
    found = []
    for row in plain:
        client, method, uri, _, _, agent = texts_of(row.raw)
        found.append(
            _request(row.template, row.begun_ns, row.duration_ns, client, method, uri, agent)
        )
    for row in whole:
        found.append(
            _request(
                row.route, row.begun_ns, row.duration_ns or 0, row.client, row.method, row.uri,
                row.user_agent,
            )
        )  # fmt: skip
    return found
