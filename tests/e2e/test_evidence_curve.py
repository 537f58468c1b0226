"""A real worker grows and dies, and the store holds how it grew, as seen from outside."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from standfast.store.tables import evidence, incident, request
from tests.e2e.servers.serving import serving
from tests.e2e.watched import serving_pid, until, watched
from tests.unit.watch.journals import House

GTHREAD = ["gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "4"]
GTHREAD += ["--timeout", "300", "hanging:app"]
MIB = 2**20


def curve(house: House) -> dict[str, Any]:
    """The data of the only curve."""
    until(house, lambda: house.rows(evidence, kind="curve"))
    found: dict[str, Any] = json.loads(house.row(evidence, kind="curve").data)
    return found


def seen(house: House) -> None:
    """Watches until the workers have been looked at once more."""
    begun = time.monotonic()
    until(house, lambda: time.monotonic() > begun + house.settings.sample_s)
    house.drain()


def rss(pid: int) -> int:
    """The memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def cpu_s(pid: int) -> float:
    """The processor time of a process."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def entries(pid: int, folder: str) -> int:
    """How many threads (``task``) or open files (``fd``) a process has."""
    return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))


def test_the_curve_of_a_worker_shows_that_it_grew_during_the_request_it_died_in() -> None:
    with (
        serving(*GTHREAD) as server,
        watched(server, sample_s=0.5) as house,
        ThreadPoolExecutor() as clients,
    ):
        # Long enough before, that the curve shows a worker that does not grow by itself.
        clients.submit(server.get, "/sleep?60")
        pid = serving_pid(house, "/sleep?60")
        for _ in range(3):
            seen(house)
        base = rss(pid)
        clients.submit(server.get, "/grow")
        until(house, lambda: rss(pid) >= base + 100 * MIB)
        seen(house)
        os.kill(pid, signal.SIGKILL)
        until(house, lambda: house.rows(incident))
        data = curve(house)
        samples = data["samples"]
        before_s = [sample[0] for sample in samples]
        assert before_s == sorted(before_s, reverse=True)
        assert before_s[-1] >= 0
        died_ns = house.row(incident).died_ns
        begun_s = (died_ns - house.row(request, uri="/grow").begun_ns) / 1e9
        before = [sample for sample in samples if sample[0] >= begun_s]
        during = [sample for sample in samples if sample[0] < begun_s]
        assert max(sample[1] for sample in before) <= base + 10 * MIB
        assert 100 * MIB <= during[-1][1] - before[-1][1] <= 110 * MIB
        assert during[-1][5] - before[-1][5] >= 100 * MIB, "it is memory of its own, not of files"
        rising = [sample[1] for sample in during]
        assert rising == sorted(rising)
        assert len(set(rising)) >= 3, "it is seen on its way"
        words = house.row(evidence, kind="curve").text
        first, last = (f"{size / MIB:.0f} MiB" for size in (samples[0][1], samples[-1][1]))
        assert f"went from {first} to {last} in the last {before_s[0]:.1f} s" in words


def test_the_curve_shows_processor_time_threads_and_open_files() -> None:
    with (
        serving(*GTHREAD) as server,
        watched(server, sample_s=0.1) as house,
        ThreadPoolExecutor() as clients,
    ):
        clients.submit(server.get, "/spin?60")
        pid = serving_pid(house, "/spin?60")
        house.drain()
        spent_s, had = cpu_s(pid), entries(pid, "fd")
        until(house, lambda: cpu_s(pid) > spent_s + 1)
        clients.submit(server.get, "/files?50")
        until(house, lambda: entries(pid, "fd") >= had + 50)
        until(house, lambda: house.rows(request, uri="/files?50"))
        seen(house)
        descriptors, threads = entries(pid, "fd"), entries(pid, "task")
        os.kill(pid, signal.SIGKILL)
        data = curve(house)
        first, last = data["samples"][0], data["samples"][-1]
        assert last[2] - first[2] >= 1
        assert last[3] == threads > 1
        assert last[4] == descriptors >= first[4] + 50
        assert isinstance(data["descriptor_limit"], int)
        assert data["descriptor_limit"] > descriptors
