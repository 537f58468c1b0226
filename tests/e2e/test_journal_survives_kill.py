"""What a journal is for: whatever ends a worker, what it had begun is written down."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from standfast.journal.format import BEGIN, END, EXIT, unpack_begin, unpack_end, unpack_exit
from standfast.journal.reader import SegmentReader
from tests.e2e.servers.serving import Server, serving

DEATHS = 200
CLIENTS = 6
#: The time in which all of them must have died; a machine that needs longer has other troubles.
LIMIT_S = 240.0


class Journal(NamedTuple):
    """What one worker wrote: the queries of the requests begun, with their numbers, and the
    numbers of those that were closed."""

    begun: list[tuple[int, str]]
    ended: list[int]
    exits: list[tuple[int, int]]
    damaged: int


class Aftermath(NamedTuple):
    """After all deaths: by pid what each killed worker had written, what the application says
    that it had begun, and which requests the clients saw answered."""

    killed: dict[int, Journal]
    others: list[Journal]
    witnessed: list[str]
    answered: list[str]

    @property
    def journals(self) -> list[Journal]:
        return [*self.killed.values(), *self.others]


class Clients:
    """Threads that ask for pages, each page with a query of its own."""

    def __init__(self, port: int) -> None:
        self.answered: list[str] = []
        self._port = port
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            query = f"id={next(self._numbers)}"
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", f"/?{query}")
                response = connection.getresponse()
                if (response.status, response.read()) == (200, b"ok"):
                    self.answered.append(query)
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
            finally:
                connection.close()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    witness = tmp_path_factory.mktemp("witness") / "begun"
    words = "gunicorn -b 127.0.0.1:{port} -w 4 -k gthread --threads 3 witness:app"
    with serving(*words.split(), variables={"WITNESS": str(witness)}) as server:
        clients = Clients(server.port)
        try:
            killed = dict(itertools.islice(_kill_at_random(server), DEATHS))
        finally:
            clients.stop()
        time.sleep(0.5)  # the master has yet to write down how the last one ended
        others = [_taken(path) for path in server.journal.glob("*/*.journal")]
        yield Aftermath(killed, others, witness.read_text().split(), clients.answered)


def _kill_at_random(server: Server) -> Iterator[tuple[int, Journal]]:
    """Kills one worker after the other, each at some moment of its work; its journal is read and
    deleted, or 200 of them would fill a small disk."""
    chance = random.Random(1)
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.0, 0.06))
        journals = list(server.journal.glob("*/*.000001.journal"))
        workers = {int(path.name.partition("-")[0]): path for path in journals}
        workers.pop(server.process.pid, None)
        if not workers:
            continue
        pid, path = chance.choice(sorted(workers.items()))
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            time.sleep(0.001)
        yield pid, _taken(path)
    pytest.fail(f"{DEATHS} workers could not be killed in {LIMIT_S:.0f} s")


def _taken(path: Path) -> Journal:
    journal = Journal([], [], [], 0)
    with SegmentReader(str(path)) as reader:
        while records := reader.read():
            for kind, flags, body in records:
                if kind == BEGIN and (begin := unpack_begin(body, flags)):
                    journal.begun.append((begin.seq, begin.uri.partition("?")[2]))
                elif kind == END and (end := unpack_end(body, flags)):
                    journal.ended.append(end.seq)
                elif kind == EXIT and (dead := unpack_exit(body)):
                    journal.exits.append((dead.pid, dead.code))
        damaged = reader.damaged
    path.unlink()
    return journal._replace(damaged=damaged)


def test_every_request_that_the_application_had_begun_is_in_a_journal(aftermath: Aftermath) -> None:
    begun = {query for journal in aftermath.journals for _, query in journal.begun}
    assert len(aftermath.killed) == DEATHS
    assert len(aftermath.witnessed) > 10 * DEATHS
    assert set(aftermath.witnessed) - begun == set()


def test_no_request_is_in_the_journals_twice(aftermath: Aftermath) -> None:
    begun = Counter(query for journal in aftermath.journals for _, query in journal.begun)
    assert {query: count for query, count in begun.items() if count > 1} == {}
    for journal in aftermath.journals:
        numbers = [seq for seq, _ in journal.begun]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_every_request_that_was_answered_is_closed(aftermath: Aftermath) -> None:
    closed = {
        query
        for journal in aftermath.journals
        for seq, query in journal.begun
        if seq in set(journal.ended)
    }
    assert len(aftermath.answered) > 10 * DEATHS
    assert set(aftermath.answered) - closed == set()


def test_nothing_is_damaged_and_some_were_killed_within_a_request(aftermath: Aftermath) -> None:
    assert [journal.damaged for journal in aftermath.journals] == [0] * len(aftermath.journals)
    open_at_death = [len(own.begun) - len(own.ended) for own in aftermath.killed.values()]
    assert sum(open_at_death) > DEATHS / 4


def test_the_master_has_written_down_how_each_of_them_ended(aftermath: Aftermath) -> None:
    exits = Counter(found for journal in aftermath.journals for found in journal.exits)
    assert {pid: exits[pid, -signal.SIGKILL] for pid in aftermath.killed} == dict.fromkeys(
        aftermath.killed, 1
    )
