"""However records are cut into batches, the store holds the same: fast and slow path agree."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from standfast.journal.format import ABORTED, CANCELLED, RUNNING
from standfast.store.tables import ordinary_request, request, rollup
from tests.unit.watch.journals import House, living

_ENDS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"flags": RUNNING},
    {"flags": RUNNING, "duration_s": 0.001},
    {"flags": RUNNING, "status": 500},
    {"flags": RUNNING, "duration_s": 2.0},
    {"flags": RUNNING, "error": b"ValueError"},
    {"background_s": 0.3},
    {"background_s": 0.3, "duration_s": 1.5},
    {"background_s": 0.3, "status": 500},
    {"background_s": 0.3, "error": b"ValueError"},
    {"flags": ABORTED},
    {"flags": CANCELLED},
    {"status": 503},
    {"status": 0},
    {"sent": 17, "cpu_ns": 1000},
    {"duration_s": 1.5},
    {"error": b"KeyError"},
)


@pytest.mark.parametrize("seed", range(12))
def test_the_store_is_the_same_however_often_the_watcher_reads(tmp_path: Path, seed: int) -> None:
    at_once = _stored(tmp_path / "at-once", seed, every=10_000)
    one_by_one = _stored(tmp_path / "one-by-one", seed, every=1)
    assert at_once == one_by_one
    assert at_once[0] and at_once[1] and at_once[2]


def _stored(place: Path, seed: int, every: int) -> tuple[list[Any], list[Any], list[Any]]:
    place.mkdir()
    house = House(place)
    chance = random.Random(seed)
    journal = house.journal(living())
    opened: list[int] = []
    for step in range(120):
        if not opened or chance.random() < 0.4:
            opened.append(journal.begin(f"/order/{chance.randrange(3)}"))
        else:
            how = dict(chance.choice(_ENDS))
            seq = chance.choice(opened)
            journal.end(seq, how.pop("status", 200), **how)
            if not how.get("flags"):
                opened.remove(seq)
        if step % every == 0:
            house.drain()
    house.drain()
    start_ns = min(row.begun_ns for row in house.rows(request) + house.rows(ordinary_request))
    rows = [
        {**row._asdict(), "id": 0, "begun_ns": row.begun_ns - start_ns}
        for row in house.rows(request)
    ]
    ordinary = [
        (row.begun_ns - start_ns, row.duration_ns, row.status, row.raw)
        for row in house.rows(ordinary_request)
    ]
    counted = [
        (row.count, row.failed, row.slow, row.duration_ns, row.cpu_ns, row.sent, row.sketch)
        for row in house.rows(rollup)
    ]
    house.close()
    house.engine.dispose()
    return sorted(rows, key=lambda row: int(row["seq"])), sorted(ordinary), counted
