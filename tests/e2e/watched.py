"""A watcher of a real server, in the process of the test: it watches while it is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from standfast.store.tables import request, worker
from standfast.watch import Settings
from tests.e2e.servers.serving import APPS, PATIENCE_S, Server, environment, standfast_run
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


@contextmanager
def starting(
    folder: Path, *command: str, **variables: str
) -> Iterator[tuple[House, subprocess.Popen[bytes]]]:
    """A server that never comes to serve, under ``standfast run``: its store, its master."""
    house = House(folder, Settings(poll_s=0.05, keep_ordinary_s=1e9))
    process = subprocess.Popen(
        standfast_run(house.folder, command),
        cwd=APPS,
        env=environment({"HOME": str(folder), **variables}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield house, process
    finally:
        house.watcher.close()
        house.engine.dispose()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)


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
