"""``standfast report inflight``: what runs at this moment, from the journals themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from standfast.cli.loading import print_loading
from standfast.cli.tables import Column, duration, print_table
from standfast.diagnose import shapes
from standfast.errors import StandfastError
from standfast.settings import Settings
from standfast.store import open_store
from standfast.watch.inflight import MOST_OPEN, InFlight, in_flight
from standfast.watch.proxies import Proxies


def show(settings: Settings, app: str | None, limit: int, *, as_json: bool) -> int:
    """Prints the oldest requests in flight, and how many there are beyond ``limit``.

    Raises StandfastError where the journal folder cannot be read.
    """
    engine = None
    with suppress(StandfastError):  # the journals themselves say what is in flight
        engine = open_store(settings.store, create=False, update=False)
    try:
        proxies = Proxies(
            settings.trusted_proxies, settings.proxy_hops, truncated=settings.truncate_clients
        )
        found = in_flight(settings.journal, app, engine, proxies)
    except OSError as error:
        raise StandfastError(
            f"journal folder {settings.journal}: {error.strerror}; name another with --journal"
        ) from None
    if as_json:
        print(json.dumps([_shape(one) for one in found[:limit]], indent=2))
    elif found:
        _print(found, limit)
    else:
        print("Nothing is in flight.")
        print_loading(settings.journal, app)
    return 0


def _print(found: Sequence[InFlight], limit: int) -> None:
    columns = [
        Column("age", number=True), Column("application"), Column("worker", number=True),
        Column("state"), Column("method"), Column("request", flexible=True),
    ]  # fmt: skip
    rows = [
        [duration(one.age_s), one.app[:20], str(one.worker_pid), one.state, one.method[:8], one.uri]
        for one in found[:limit]
    ]
    print_table(columns, rows)
    if len(found) > limit:
        of_one = max(Counter((one.host, one.worker_pid) for one in found).values())
        least = "at least " if of_one >= MOST_OPEN else ""
        print(f"and {least}{len(found) - limit:,} more; --limit N shows N of them")


def _shape(one: InFlight) -> dict[str, object]:
    return {
        **shapes.request(one, one.id, one.begun_ns),
        "app": one.app,
        "age_s": round(one.age_s, 6),
        "state": one.state,
        "worker_pid": one.worker_pid,
    }
