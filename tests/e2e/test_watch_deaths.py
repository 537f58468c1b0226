"""Real processes die, and the watcher tells which, when, how, and what they took along."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast.journal import files, identity
from standfast.journal.writer import Writer
from standfast.store.tables import evidence, incident, ordinary_request, request, worker
from standfast.watch import Settings, is_watched, watch
from tests.unit.watch.journals import House, living, wait_until

fork = multiprocessing.get_context("fork")


def serve(folder: str, ready: object, die: Callable[[], None]) -> None:
    """A worker: a request that is answered, one that is not, and its end."""
    who = identity.of_this_process("shop")
    writer = Writer(folder, who)
    fault = Path(files.app_folder(folder, "shop"), writer.uid + ".fault")
    faulthandler.enable(fault.open("w"))
    fields = b"192.0.2.1\0GET\0%s\0shop.test\0\0curl/8"
    seq = writer.begin(fields % b"/fine", time.time_ns(), 1, 1)
    writer.end(seq, 1_000_000, 200)
    writer.begin(fields % b"/killer", time.time_ns(), 1, 1)
    ready.wait(60)  # type: ignore[attr-defined]
    die()


def crash() -> None:
    ctypes.string_at(8)


def leave() -> None:
    os._exit(3)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    (house.folder / "shop").mkdir(mode=0o700)
    return house


@pytest.fixture
def watching(house: House) -> Iterator[int]:
    """A watcher in a process of its own."""
    settings = Settings(poll_s=0.05, keep_ordinary_s=1e9)
    arguments = {"settings": settings}
    running = fork.Process(target=watch, args=(str(house.folder), house.url), kwargs=arguments)
    running.start()
    wait_until(lambda: is_watched(str(house.folder)) == running.pid)
    yield running.pid or 0
    running.kill()
    running.join()


def kernel_tells_exits() -> bool:
    """Whether a pidfd tells how its process ended: Linux 6.15 and later."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15)


@pytest.mark.parametrize(
    ("die", "name", "code"), [(crash, "SIGSEGV", None), (killed, "SIGKILL", None), (leave, None, 3)]
)
def test_a_death_is_seen_when_it_happens_with_what_was_in_flight(
    house: House, watching: int, die: Callable[[], None], name: str | None, code: int | None
) -> None:
    now = fork.Event()
    child = fork.Process(target=serve, args=(str(house.folder), now, die))
    child.start()
    wait_until(lambda: house.rows(request, outcome="open"))
    time.sleep(0.3)  # long enough for the watcher to know that it lives
    before = time.time_ns()
    now.set()
    child.join()
    after = time.time_ns()
    wait_until(lambda: house.rows(incident))
    row, told = house.row(worker), house.row(incident)
    # A file's time, here that of the traceback, comes from a clock of some milliseconds.
    assert before - 20_000_000 <= told.died_ns <= after + 1_000_000_000
    assert (row.pid, row.died_ns) == (child.pid, told.died_ns)
    assert ("Fatal Python error" in (row.fault or "")) == (name == "SIGSEGV")
    if kernel_tells_exits():
        wait_until(lambda: house.rows(evidence, kind="exit", source="pidfd"))
        assert [(row.signal, row.exit_code) for row in house.rows(worker)] == [(name, code)]
    kept = house.row(request)
    assert (kept.uri, kept.outcome, kept.incident_id) == ("/killer", "unfinished", told.id)
    assert len(house.rows(ordinary_request)) == 1
    wait_until(lambda: list((house.folder / "shop").iterdir()) == [])


def lead(folder: str, ready: object, die: Callable[[], None]) -> None:
    """A pre-forking master: one worker, whose end it writes down as it learns it."""
    child = os.fork()
    if not child:
        serve(folder, ready, die)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    ticks = identity.start_ticks(child)
    _, status = os.waitpid(child, 0)
    writer = Writer(folder, identity.of_this_process("shop"))
    writer.exit(child, ticks, os.waitstatus_to_exitcode(status), time.time_ns())
    time.sleep(60)


@pytest.mark.parametrize(
    ("die", "name", "code"), [(crash, "SIGSEGV", None), (killed, "SIGKILL", None), (leave, None, 3)]
)
def test_the_masters_word_gives_the_signal_or_the_exit_code(
    house: House, watching: int, die: Callable[[], None], name: str | None, code: int | None
) -> None:
    now = fork.Event()
    master = fork.Process(target=lead, args=(str(house.folder), now, die))
    master.start()
    try:
        wait_until(lambda: house.rows(request, outcome="open"))
        now.set()
        wait_until(lambda: house.rows(worker, signal=name, exit_code=code, pid=_child(house)))
        wait_until(lambda: house.rows(incident))
    finally:
        master.terminate()
        master.join()
    assert len(house.rows(incident)) == 1
    wait_until(lambda: list((house.folder / "shop").iterdir()) == [])
    assert len(house.rows(incident)) == 1, "the master's own orderly end is none"


def _child(house: House) -> int:
    """The pid of the worker that served the request."""
    (kept,) = house.rows(request)
    return int(house.row(worker, id=kept.worker_id).pid)


@pytest.mark.parametrize(
    "other", [{"start_ticks": 5}, {"boot_id": "an-earlier-boot"}], ids=["pid reused", "restarted"]
)
def test_a_living_process_with_a_dead_workers_pid_fools_nobody(
    house: House, watching: int, other: dict[str, object]
) -> None:
    earlier = house.journal(living()._replace(**other))  # type: ignore[arg-type]
    earlier.begin("/killer")
    healthy = house.journal(living())
    healthy.begin("/healthy")
    wait_until(lambda: house.rows(incident))
    wait_until(lambda: len(house.rows(request)) == 2)
    assert {row.uri: row.outcome for row in house.rows(request)} == {
        "/killer": "unfinished",
        "/healthy": "open",
    }
    wait_until(lambda: healthy.files() == [f"{healthy.uid}.000001.journal"])


def test_a_worker_that_died_while_nobody_watched_is_found(house: House) -> None:
    now = fork.Event()
    now.set()
    child = fork.Process(target=serve, args=(str(house.folder), now, crash))
    child.start()
    child.join()
    watched = watch(str(house.folder), house.url, once=True)
    assert watched.requests == 1
    assert house.row(worker).signal == "SIGSEGV"
    assert house.row(incident).died_ns == house.row(worker).died_ns
    assert list((house.folder / "shop").iterdir()) == []
