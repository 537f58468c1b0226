"""Nothing lost and nothing double, whoever is killed and whenever."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select

from standfast.journal import files, identity
from standfast.journal.format import BEGIN, END, MIN_SEGMENT_SIZE, unpack_begin, unpack_end
from standfast.journal.reader import SegmentReader
from standfast.journal.writer import Writer
from standfast.store.failures import failure, failure_hour
from standfast.store.tables import incident, ordinary_request, request, rollup, worker
from standfast.watch import Settings, intake, watch

KILLS = 50
WRITERS = 3

fork = multiprocessing.get_context("fork")
Ended = Counter[tuple[str, int, str]]


def write(journal: str, shadow: str, seed: int) -> None:
    """A worker under load until it is killed.

    Its segments have a second name in ``shadow`` from before they have their first: what it
    wrote can be known whatever the watcher deletes.
    """
    create = files.create

    def create_twice(folder: str, name: str, head: bytes, size: int) -> int:
        fd = create(shadow, name, head, size)
        Path(folder).mkdir(exist_ok=True)
        Path(folder, name).hardlink_to(Path(shadow, name))
        return fd

    files.create = create_twice
    chance = random.Random(seed)
    writer = Writer(journal, identity.of_this_process("shop"), segment_size=MIN_SEGMENT_SIZE)
    flying: list[int] = []
    while True:
        for _ in range(100):
            fields = b"192.0.2.1\0GET\0/order/%d\0shop.test\0\0" % chance.randrange(1000)
            flying.append(writer.begin(fields, time.time_ns(), 1, 1))
            if len(flying) > 8:
                seq = flying.pop(chance.randrange(len(flying)))
                failed = chance.random() < 0.02
                writer.end(seq, 1_000_000, 500 if failed else 200, error=b"boom" * failed)
        time.sleep(0.01)


def watch_for_ever(journal: str, store: str, batch: int) -> None:
    intake.BATCH_RECORDS = batch
    watch(journal, store, settings=Settings(poll_s=0.005, keep_ordinary_s=1e6))


def written(shadow: Path) -> Ended:
    """What the journals say: every request by (worker, number, outcome)."""
    ends: Ended = Counter()
    by_worker: dict[str, list[Path]] = {}
    for path in sorted(shadow.glob("*.journal")):
        by_worker.setdefault(path.name.split(".")[0], []).append(path)
    for uid, paths in by_worker.items():
        flying: set[int] = set()
        for path in paths:
            with SegmentReader(str(path)) as reader:
                while not reader.ended:
                    for kind, flags, body in reader.read(final=True):
                        if kind == BEGIN and (begin := unpack_begin(body, flags)):
                            flying.add(begin.seq)
                        elif kind == END and (end := unpack_end(body, flags)):
                            flying.remove(end.seq)
                            ends[uid, end.seq, "failed" if end.error else "ordinary"] += 1
        for seq in flying:
            ends[uid, seq, "unfinished"] += 1
    return ends


def stored(store: str) -> Ended:
    """What the store says, in the same words."""
    ends: Ended = Counter()
    with create_engine(f"sqlite:///{store}").connect() as connection:
        uids = {row.id: row.uid for row in connection.execute(select(worker.c.id, worker.c.uid))}
        for row in connection.execute(select(ordinary_request.c.worker_id, ordinary_request.c.seq)):
            ends[uids[row.worker_id], row.seq, "ordinary"] += 1
        kept = select(request.c.worker_id, request.c.seq, request.c.outcome)
        for one in connection.execute(kept):
            ends[uids[one.worker_id], one.seq, one.outcome] += 1
    return ends


@pytest.mark.timeout(180)
def test_a_watcher_killed_fifty_times_under_load_loses_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    journal, shadow, store = tmp_path / "journal", tmp_path / "shadow", str(tmp_path / "store.db")
    journal.mkdir()
    shadow.mkdir()
    chance = random.Random(7)

    def new_writer() -> multiprocessing.process.BaseProcess:
        writer = fork.Process(target=write, args=(str(journal), str(shadow), chance.random()))
        writer.start()
        return writer

    writers = [new_writer() for _ in range(WRITERS)]
    try:
        for kill in range(KILLS):
            batch = chance.choice([50, 1000, 40_000])
            running = fork.Process(target=watch_for_ever, args=(str(journal), store, batch))
            running.start()
            time.sleep(chance.uniform(0.01, 0.4))
            assert running.is_alive()
            os.kill(running.pid or 0, signal.SIGKILL)
            running.join()
            if kill % 5 == 0:
                victim = writers.pop(0)
                os.kill(victim.pid or 0, signal.SIGKILL)
                victim.join()
                writers.append(new_writer())
    finally:
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
    watch(str(journal), store, once=True, settings=Settings(keep_ordinary_s=1e6))

    expected, found = written(shadow), stored(store)
    assert expected.total() > 5000, "there was no load"
    assert found == expected
    assert max(found.values()) == 1
    kinds = Counter(kind for _, _, kind in found)
    with create_engine(f"sqlite:///{store}").connect() as connection:
        counted = connection.execute(
            select(func.sum(rollup.c.count), func.sum(rollup.c.failed))
        ).one()
        incidents = connection.execute(select(incident.c.worker_id)).scalars().all()
        workers = connection.execute(select(worker.c.id)).scalars().all()
    places: Counter[str | None] = Counter()
    with create_engine(f"sqlite:///{store}").connect() as connection:
        hours = select(failure.c.place, failure_hour.c.count).join(failure_hour)
        for place, number in connection.execute(hours):
            places[place] += number
    assert places == {"boom": kinds["failed"]}
    assert tuple(counted) == (kinds["ordinary"] + kinds["failed"], kinds["failed"])
    # Every writer died with requests in flight.
    assert sorted(incidents) == sorted(workers)
    assert list((journal / "shop").iterdir()) == [], "journals of dead workers are deleted"
