"""The page holds figures that were measured, and nothing that names the machine."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.children import ROOT
from benchmarks.cost import Cost, summary
from benchmarks.machine import describe
from benchmarks.page import Report, page
from benchmarks.parts import Part
from benchmarks.peers import PEERS
from benchmarks.pythons import Build, Row
from benchmarks.survivors import DEATHS, NOTHING, Survivor

_INGEST = {
    "kind": "wsgi",
    "requests": 1000,
    "journal_bytes": 2**20,
    "seconds": 0.01,
    "requests_per_second": 100_000,
    "peak_rss_mib": 60.0,
}


_PYTHONS = [Row(Build("3.11.2", "own build", Path("/nowhere")), 1.0, 2.0)]


def _report() -> Report:
    costs = [
        Cost(name, kind, "1.0", rounds=9, bare_us=1.0, median_us=2.0)
        for name in PEERS
        for kind in PEERS[name].kinds
    ]
    costs[3] = Cost("elastic", "wsgi", skipped="a | b\nc")
    held = Survivor("standfast", "1.0", dict.fromkeys(DEATHS, NOTHING), 20, 20)
    return Report(
        describe(),
        costs,
        [held, Survivor("ddtrace", skipped="no | no")],
        [_INGEST, {"kind": "asgi", "skipped": "no | disk"}],
        _PYTHONS,
        [Part("wsgi", "the begin record", 0.7), Part("wsgi", "the whole", 3.0)],
    )


def test_every_row_of_a_table_has_the_columns_of_its_head() -> None:
    columns = None
    for line in page(_report()).splitlines():
        if not line.startswith("|"):
            columns = None
            continue
        columns = columns or line.count("|")
        assert line.count("|") == columns, line


def test_neither_the_name_of_the_machine_nor_its_folders_are_published() -> None:
    text = page(_report())

    assert os.uname().nodename not in text
    assert str(ROOT) not in text


def test_a_peer_that_could_not_be_measured_says_why() -> None:
    text = page(_report())

    assert "not measured: a / b c" in text
    assert "not measured: no / no" in text
    assert "not measured: no / disk" in text


def test_the_cost_is_the_median_of_the_differences_within_pairs() -> None:
    # The difference of the medians would be 3: the machine is not equally fast in all pairs.
    rounds = [[1000.0, 6000.0, 1.0, 2.0], [3000.0, 5000.0, 1.0, 2.0], [2000.0, 3000.0, 1.0, 2.0]]

    cost = summary("floor", "wsgi", "", rounds)

    assert cost.median_us == 2.0
    assert (cost.low_us, cost.high_us) == (1.5, 3.5)
    assert cost.rounds == 3
