"""A short drill: `python -m benchmarks.drill` is the long one."""

from __future__ import annotations

import pytest

from benchmarks.drill.drill import drill

from .machines import Machines


@pytest.mark.parametrize("topology", ["mesh", "ring"])
def test_of_what_was_acknowledged_under_faults_and_human_hands_nothing_is_lost(
    bare: Machines, topology: str
) -> None:
    said: list[str] = []
    faults = ["kill -9", "a hole before which a server stands"]
    found = drill(bare, topology, 0, 1, said.append, faults)
    assert found.well, (found, said)
    assert found.acknowledged > 50
    assert found.faults.total() == 2


def test_a_log_that_went_back_under_load_loses_nothing(bare: Machines) -> None:
    said: list[str] = []
    found = drill(bare, "mesh", 0, 1, said.append, ["a link cut", "RESET MASTER"])
    assert found.well, (found, said)
    assert found.acknowledged > 50
