"""What becomes of a request: pure rules, from what its end records say."""

from __future__ import annotations

from typing import Any

from standfast.journal.format import End
from standfast.store.tables import FAILED, OPEN, SLOW

from .bounds import DURATION_NS, MOST

#: A request that the application was torn out of waits this long for its worker's death.
ABORTED_WAIT_NS = 10_000_000_000
#: The outcome of a request of which nothing needs to be kept but its share of the roll-up.
ORDINARY = "ordinary"

#: The columns of ``store.tables.request`` by name.
Row = dict[str, Any]


def close(row: Row, end: End, slow_ns: int) -> str:
    """Enters an end record into a request's row; its outcome, OPEN where more is to come.

    What it says counts, not what an earlier one has said: that the application's code runs on is
    followed by an end that says all. An exception that escaped is a failure, and a status from 500
    on; what was only logged is none.
    """
    row["duration_ns"] = min(end.duration_ns, DURATION_NS)
    row["background_ns"] = min(end.background_ns, DURATION_NS) or None
    row["status"] = end.status
    row["cpu_ns"] = None if end.cpu_ns is None else min(end.cpu_ns, DURATION_NS)
    row["sent"] = None if end.sent is None else min(end.sent, MOST)
    row["error"] = end.error.replace("\0", "\\0") or None
    row["cut"] = row["cut"] or end.cut
    row["aborted"] = end.aborted
    if end.running or end.aborted:
        return OPEN
    failed = (bool(row["error"]) and not end.logged) or (row["status"] or 0) >= 500
    if failed and not end.cancelled:
        return FAILED
    if row["kind"] == "http" and row["duration_ns"] >= slow_ns:
        return SLOW
    return ORDINARY
