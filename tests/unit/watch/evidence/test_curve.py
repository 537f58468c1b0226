"""Samples of processes: the right process, thinned as they age, and nothing left open."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal import identity
from standfast.store.evidence import Fact
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.curve import Curve, Probe, Sample, Track
from standfast.watch.liveness import Process
from tests.unit.watch.journals import wait_until


def process_of(pid: int) -> Process:
    return Process("host", identity.boot_id(), 0, pid, identity.start_ticks(pid))


def death_of(process: Process) -> Death:
    now_ns = time.time_ns()
    return Death(1, process, process.pid, now_ns, now_ns)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def curve_of(curve: Curve, process: Process) -> Fact:
    (fact,) = curve.facts(death_of(process))
    return fact


def test_a_sample_says_what_the_system_says() -> None:
    probe = Probe(os.getpid(), process_of(os.getpid()))
    sample = probe.sample()
    probe.close()
    assert sample is not None
    status = Path("/proc/self/status").read_text()
    told = dict(line.split(":\t", 1) for line in status.splitlines())
    kib = {name: int(told[name].split()[0]) for name in ("VmRSS", "RssAnon")}
    assert sample.rss == pytest.approx(kib["VmRSS"] * 1024, rel=0.1)
    assert sample.anonymous == pytest.approx(kib["RssAnon"] * 1024, rel=0.1)
    assert sample.threads == int(told["Threads"])
    assert sample.cpu_s == pytest.approx(time.process_time(), abs=0.5)
    assert sample.descriptors is not None
    assert abs(sample.descriptors - open_files()) <= 4
    assert probe.descriptor_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_living_process_with_a_dead_workers_pid_is_not_sampled() -> None:
    curve = Curve()
    other = process_of(os.getpid())._replace(start_ticks=5)
    curve.look([Living(1, other, os.getpid())])
    assert curve.facts(death_of(other)) == []
    curve.close()


def test_the_last_sample_is_the_last_of_its_life_however_often_the_dead_is_looked_at(
    child: subprocess.Popen[bytes],
) -> None:
    curve, process = Curve(), process_of(child.pid)
    living = [Living(1, process, child.pid)]
    executable = Path(sys.executable).resolve()
    wait_until(lambda: Path(f"/proc/{child.pid}/exe").readlink().name != executable.name)
    for _ in range(3):
        curve.look(living)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    curve.look(living)  # a zombie
    child.wait()
    curve.look(living)  # gone
    rows = curve_of(curve, process).data["samples"]
    assert len(rows) == 3
    assert all(row[1] > 0 for row in rows)
    curve.close()


def test_a_process_that_serves_two_applications_is_sampled_once(
    child: subprocess.Popen[bytes],
) -> None:
    curve, process = Curve(), process_of(child.pid)
    curve.look([Living(1, process, child.pid), Living(2, process, child.pid)])
    assert len(curve_of(curve, process).data["samples"]) == 1
    curve.close()


def test_nothing_is_left_open_by_the_dead_the_strange_and_the_closed(
    child: subprocess.Popen[bytes],
) -> None:
    before = open_files()
    curve, process = Curve(), process_of(child.pid)
    strange = process._replace(start_ticks=5)
    curve.look([Living(1, process, child.pid), Living(2, strange, child.pid)])
    assert open_files() == before + 3
    end(child)
    curve.forget(death_of(process))
    curve.forget(death_of(strange))
    assert open_files() == before
    curve.look([Living(3, process_of(os.getpid()), os.getpid())])
    curve.close()
    assert open_files() == before


def test_a_worker_for_which_no_file_can_be_kept_open_is_sampled_too(
    child: subprocess.Popen[bytes],
) -> None:
    before = open_files()
    curve, process = Curve(), process_of(child.pid)
    curve._most_open = 0
    for _ in range(3):
        curve.look([Living(1, process, child.pid)])
    assert open_files() == before
    told = curve_of(curve, process).data
    assert len(told["samples"]) == 3
    assert told["descriptor_limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    curve.close()


def sample(at_s: float, rss: int = 1) -> Sample:
    return Sample(at_s, rss, 0.0, 1, 3, rss)


def test_the_last_minute_is_kept_whole_and_ten_minutes_in_all() -> None:
    track = Track()
    for number in range(4000):
        track.add(sample(number * 0.5))
    kept = [one.at_s for one in track.samples()]
    assert kept[-120:] == [number * 0.5 for number in range(3880, 4000)]
    assert kept[-1] - kept[0] == pytest.approx(600 + 60, abs=10)
    assert len(kept) <= 240


def test_a_short_peak_of_long_ago_is_not_thinned_away() -> None:
    track = Track()
    for number in range(1000):
        track.add(sample(number * 0.5, 900 if number == 333 else 100))
    assert max(one.rss for one in track.samples()) == 900


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 2**40)), max_size=600))
def test_a_track_is_bounded_and_in_order_whatever_comes(steps: list[tuple[float, int]]) -> None:
    track, now = Track(), 0.0
    for step, rss in steps:
        now += step
        track.add(sample(now, rss))
    kept = [one.at_s for one in track.samples()]
    assert len(kept) <= 240
    assert kept == sorted(kept)
    assert not steps or kept[-1] == now
