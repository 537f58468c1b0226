"""What is in the store is what the application itself knows of its requests and deaths."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from standfast.store.tables import incident, ordinary_request, request, texts_of, worker
from tests.e2e.servers.serving import serving
from tests.e2e.watched import until, watched

KILLS = 8
THREADS = 3
CLIENTS = 4


def children(pid: int) -> list[int]:
    """The workers of a pre-forking master."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_requests_and_deaths_are_those_that_the_application_knows_of(tmp_path: Path) -> None:
    books = tmp_path / "books"
    words = "gunicorn -b 127.0.0.1:{port} -w 3 -k gthread --graceful-timeout 2"
    words += f" --threads {THREADS} truth:app"
    stop = threading.Event()
    died: list[int] = []
    with serving(*words.split(), variables={"BOOKS": str(books)}) as server:

        def ask(client: int) -> None:
            chance, number = random.Random(client), 0
            while not stop.is_set():
                number += 1
                path = "/die" if chance.random() < 0.01 else "/fine"
                server.get(f"{path}?{client}-{number}")

        clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        with watched(server) as house:
            for client in clients:
                client.start()
            chance = random.Random(0)
            while len(died) < KILLS:
                house.drain()
                time.sleep(0.1)
                victims = children(server.process.pid)
                if victims:
                    victim = chance.choice(victims)
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        died.append(victim)
            stop.set()
            for client in clients:
                client.join()
            server.stop()
            until(house, lambda: not list(server.journal.glob("*/*.journal")))
            compare(books, died, house)


def compare(books: Path, died: list[int], house: object) -> None:
    rows = house.rows  # type: ignore[attr-defined]
    lines = [line.split() for line in books.read_text().splitlines()]
    begun = {name for what, name in lines if what == "begun"}
    over = {name for what, name in lines if what == "over"}
    kept = rows(request)
    ordinary = [texts_of(row.raw)[2] for row in rows(ordinary_request)]
    stored = Counter(uri.partition("?")[2] for uri in [*ordinary, *(row.uri for row in kept)])
    unfinished = {row.uri.partition("?")[2] for row in kept if row.outcome == "unfinished"}
    assert set(stored.values()) == {1}, "no request is there twice"
    assert begun <= set(stored), "none that the application had begun is missing"
    assert begun - over <= unfinished, "each that it had not ended is unfinished"
    # Where the two differ, death came between their two notes of one moment: the recorder writes
    # first when a request begins, and last when it ends. No thread can be there twice.
    between = unfinished - (begun - over)
    of = Counter(row.worker_id for row in kept if row.uri.partition("?")[2] in between)
    assert max(of.values(), default=0) <= THREADS
    assert set(stored) - begun <= unfinished
    # Killed from outside, or by itself in a request: each is one incident, and nothing else is.
    pids = {row.id: row.pid for row in rows(worker)}
    aborted = {pids[row.worker_id] for row in kept if row.uri.startswith("/die")}
    struck = [pids[row.worker_id] for row in rows(incident)]
    assert sorted(struck) == sorted(set(died) | aborted)
