"""The shapes of incidents and requests in JSON: documented in docs/report.md, and stable."""

from __future__ import annotations

from typing import Any

from standfast.store.queries import Struck
from standfast.store.tables import FAILED

from .verdict import Verdict
from .words import moment


def incident(found: Struck, verdict: Verdict) -> dict[str, Any]:
    """One incident, with its verdict."""
    row, requests, left_out = found
    return {
        "incident": row.id,
        "app": row.app,
        "host": row.host,
        "worker_pid": row.pid,
        "died_at": moment(row.died_ns),
        "signal": row.signal,
        "exit_code": row.exit_code,
        "requests": [
            {
                **request(one, f"{one.uid}-{one.seq}", one.begun_ns),
                "age_s": round(max(row.died_ns - one.begun_ns, 0) / 1e9, 6),
                "route": one.route,
                "status": one.status,
                # Torn out of the application, it has a duration and no response.
                "answered_s": None
                if one.duration_ns is None or one.aborted
                else one.duration_ns / 1e9,
            }
            for one in requests
        ],
        "requests_left_out": left_out,
        "kind": row.kind,
        **verdict.as_json(),
    }


def request(one: Any, name: str, begun_ns: int) -> dict[str, Any]:
    """What all shapes of a request have in common."""
    return {
        "id": name,
        "method": one.method,
        "uri": one.uri,
        "client": one.client,
        "user_agent": one.user_agent,
        "begun_at": moment(begun_ns),
        "kind": one.kind,
    }


def closed(row: Any) -> dict[str, Any]:
    """A request that is over, with its error where it failed."""
    shown = {
        **request(row, f"{row.uid}-{row.seq}", row.begun_ns),
        "app": row.app,
        "route": row.route,
        "status": row.status,
        "duration_s": None if row.duration_ns is None else row.duration_ns / 1e9,
    }
    return {**shown, "error": row.error} if row.outcome == FAILED else shown


def logged(row: Any) -> dict[str, Any]:
    """What was logged as an error at one place of one route, in requests that did not fail."""
    return {
        "app": row.app,
        "route": row.template,
        "place": row.place,
        "count": row.count,
        "first_at": moment(row.first_ns),
        "last_at": moment(row.last_ns),
        "error": row.error,
    }
