"""The doctor looks at real folders, workers, watchers and stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from standfast.journal.identity import of_this_process
from standfast.journal.writer import Writer

STANDFAST = (sys.executable, "-m", "standfast")


def _places(folder: Path) -> list[str]:
    return ["--journal", str(folder / "journal"), "--store", str(folder / "store.db")]


def _doctor(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    command = [*STANDFAST, "doctor", "--json", *_places(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, {one["subject"]: one for one in json.loads(done.stdout)}


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    status, found = _doctor(tmp_path)
    assert status == 1
    assert found["journal folder"]["state"] == "failed"
    assert "standfast run" in found["journal folder"]["advice"]
    assert "standfast watch" in found["store"]["words"]


def test_all_is_well_while_a_recorded_worker_and_a_watcher_are_at_work(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    writer = Writer(str(tmp_path / "journal"), of_this_process("shop", "a server 1.0"))
    writer.end(writer.begin(b"127.0.0.1\0GET\0/\0\0\0", time.time_ns(), time.monotonic_ns(), 1), 5)
    with _running(*STANDFAST, "watch", *_places(tmp_path)) as watcher:
        until = time.monotonic() + 30
        status = 1
        while status and time.monotonic() < until:
            status, found = _doctor(tmp_path)
        assert status == 0, found
        assert f"process {watcher.pid}" in found["watcher"]["words"]
        assert "shop: 1 worker(s) of a server 1.0" in found["recorder"]["words"]
    writer.close()


def test_requests_that_could_not_be_recorded_are_counted(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    writer = Writer(str(tmp_path / "journal"), of_this_process("shop"))
    writer.lost = 7
    writer.begin(b"127.0.0.1\0GET\0/\0\0\0", time.time_ns(), time.monotonic_ns(), 1)
    status, found = _doctor(tmp_path)
    assert status == 1
    assert found["unrecorded"]["words"].startswith("7 requests")
    writer.close()


def test_a_command_that_meets_no_server_is_pointed_at(tmp_path: Path) -> None:
    command = (*STANDFAST, "run", *_places(tmp_path)[:2], "--", "sleep", "30")
    with _running(*command) as process:
        until = time.monotonic() + 20
        words = ""
        while "has met no server" not in words and time.monotonic() < until:
            _, found = _doctor(tmp_path)
            words = found.get("recorder", {}).get("words", "")
        assert words == f"process {process.pid} has met no server so far"


def test_a_folder_open_to_all_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    os.chmod(tmp_path / "journal", 0o777)  # noqa: PTH101 - the mode is the point
    _, found = _doctor(tmp_path)
    assert "chmod" in found["journal folder"]["advice"]


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    (tmp_path / "store.db").write_text("this is no database, but long enough to look at" * 40)
    _, found = _doctor(tmp_path)
    assert found["store"]["state"] == "failed"
    assert "store.db" in found["store"]["words"]
