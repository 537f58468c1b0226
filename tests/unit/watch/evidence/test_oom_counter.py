"""The counter of out-of-memory kills, in a folder that stands for a control group."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from standfast.store.evidence import Fact
from standfast.watch.evidence import cgroups
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.oom_counter import OomCounters
from standfast.watch.liveness import Process

MIB = 2**20
SECOND = 1_000_000_000
FIRST, SECOND_ONE = Process("web1", "boot", 0, 11, 5), Process("web1", "boot", 0, 12, 5)


class Group:
    """A memory cgroup of version 2, as far as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir()
        (self.path / "memory.max").write_text(f"{800 * MIB}\n")
        self.kills(3)

    def kills(self, count: int) -> None:
        (self.path / "memory.events").write_text(f"low 0\nhigh 0\noom_kill {count}\n")


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    made = Group(tmp_path / "shop")
    monkeypatch.setattr(cgroups, "group_of", lambda pid, controller: made.path)
    return made


def look(counters: OomCounters, *processes: Process) -> None:
    counters.look([Living(one.pid, one, os.getpid()) for one in processes or (FIRST,)])


def facts(counters: OomCounters, of: Process = FIRST, after_s: float = 0) -> list[Fact]:
    died_ns = time.time_ns() + int(after_s * SECOND)
    return counters.facts(Death(1, of, of.pid, died_ns, died_ns))


def test_a_kill_that_was_counted_before_the_process_had_ended_is_told(group: Group) -> None:
    """A large process takes its time to end: it is looked at again and again until then."""
    counters = OomCounters()
    look(counters)
    group.kills(4)
    for _ in range(3):
        look(counters)
    (fact,) = facts(counters)
    assert (fact.data["before"], fact.data["after"]) == (3, 4)
    assert fact.data["limit_bytes"] == 800 * MIB


def test_the_limit_stays_known_when_the_group_is_gone(group: Group) -> None:
    counters = OomCounters()
    look(counters)
    group.kills(4)
    look(counters)
    shutil.rmtree(group.path)
    look(counters)
    (fact,) = facts(counters)
    assert (fact.data["after"], fact.data["limit_bytes"]) == (4, 800 * MIB)


def test_a_kill_of_long_before_is_not_told(group: Group) -> None:
    counters = OomCounters()
    look(counters, FIRST, SECOND_ONE)
    group.kills(4)
    look(counters, FIRST, SECOND_ONE)
    assert [fact.data["after"] for fact in facts(counters, FIRST)] == [4]
    assert facts(counters, SECOND_ONE, after_s=60) == []


def test_a_worker_that_came_after_a_kill_has_no_part_in_it(group: Group) -> None:
    counters = OomCounters()
    look(counters, FIRST)
    group.kills(4)
    look(counters, FIRST)
    time.sleep(0.001)
    look(counters, FIRST, SECOND_ONE)
    assert facts(counters, SECOND_ONE) == []


def test_where_nothing_was_counted_nothing_is_said(group: Group) -> None:
    counters = OomCounters()
    look(counters)
    assert facts(counters) == []
    assert facts(counters, SECOND_ONE) == []
