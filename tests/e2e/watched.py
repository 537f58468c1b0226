"""A watcher of a real server, in the process of the test: it watches while it is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from standfast.store.tables import request, worker
from standfast.watch import Settings
from tests.e2e.servers.serving import PATIENCE_S, Server
from tests.unit.watch.journals import House, wait_until


@contextmanager
def watched(server: Server, **settings: Any) -> Iterator[House]:
    """The store that a watcher of this server fills."""
    chosen = Settings(poll_s=0.05, keep_ordinary_s=1e9, **settings)
    house = House(server.journal.parent, chosen)
    try:
        yield house
    finally:
        house.watcher.close()
        house.engine.dispose()


def until(house: House, what: Callable[[], Any]) -> None:
    """Watches until ``what()`` is true."""

    def look() -> Any:
        house.drain()
        return what()

    wait_until(look, PATIENCE_S)


def serving_pid(house: House, uri: str) -> int:
    """The pid of the worker that has the request open or left it unfinished."""
    until(house, lambda: house.rows(request, uri=uri))
    (kept,) = house.rows(request, uri=uri)
    return int(house.row(worker, id=kept.worker_id).pid)
