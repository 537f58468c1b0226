"""The doctor looks at real folders, workers, watchers and stores."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from standfast.journal import files
from standfast.journal.format import SEGMENT_SIZE
from standfast.journal.identity import of_this_process
from standfast.journal.writer import Writer
from standfast.record import launch
from standfast.record.hook import mark
from standfast.watch import checkup
from standfast.watch.started import Started

STANDFAST = (sys.executable, "-m", "standfast")


NOBODY = "nobody"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root looks with others' eyes")


def _places(folder: Path) -> list[str]:
    return ["--journal", str(folder / "journal"), "--store", str(folder / "store.db")]


def _doctor(folder: Path, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    command = [*STANDFAST, "doctor", "--json", *_places(folder), *options]
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
    assert "does not exist" in found["store"]["words"]
    assert "standfast watch" in found["store"]["advice"]
    # Nothing is said twice.
    assert "standfast watch" not in found["store"]["words"]


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


def test_journals_that_have_reached_their_limit_are_said_with_what_was_lost(
    tmp_path: Path,
) -> None:
    me, limit = of_this_process("shop"), 3 * SEGMENT_SIZE
    (tmp_path / "journal").mkdir(mode=0o700)
    writer = Writer(str(tmp_path / "journal"), me, limit=limit)
    fields = b"127.0.0.1\0GET\0/\0\0\0" + b"x" * 1000
    while writer.begin(fields, time.time_ns(), time.monotonic_ns(), 1):
        assert "journal limit" not in {one.subject for one in _full(tmp_path, "1G")}
        for _ in range(2000):
            writer.begin(fields, time.time_ns(), time.monotonic_ns(), 1)
    (said,) = _full(tmp_path, "12M")
    assert said.words == (
        "shop: 12 of 12 MiB are used, so old requests give way or new ones go unrecorded:"
        f" {writer.lost:,} so far"
    )
    writer.close()


def _full(folder: Path, limit: str) -> list[checkup.Finding]:
    here = Started(1, 0, 0, "shop", str(folder / "journal"), "", limit)
    return checkup._full(str(folder / "journal"), [here])


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


@needs_root
def test_a_store_that_this_user_may_not_read_is_not_called_missing(open_place: Path) -> None:
    (open_place / "journal").mkdir(mode=0o700)
    store = open_place / "store.db"
    store.touch(mode=0o600)
    words = "is there and not for this user"
    assert _as_nobody(lambda: _of_store(store)) == f"{store} {words} -> run doctor as root"
    open_place.chmod(0o700)
    assert _as_nobody(lambda: _of_store(store)).startswith(f"{store}: Permission denied -> run")


def _of_store(store: Path) -> str:
    *_, found = checkup.check(str(store.parent / "journal"), str(store))
    return f"{found.words} -> {found.advice}"


def _as_nobody(ask: Callable[[], str]) -> str:
    """What comes of it with another user's rights."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            user = pwd.getpwnam(NOBODY)
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(write, ask().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@needs_root
def test_roots_doctor_looks_at_the_folder_with_the_eyes_of_the_applications_user(
    open_place: Path,
) -> None:
    (open_place / "journal").mkdir(mode=0o700)
    status, found = _doctor(open_place, "--user", NOBODY)
    assert status == 1
    assert found["application's user"]["words"] == "nobody cannot make a folder there"
    assert "chmod 1777" in found["application's user"]["advice"]
    (open_place / "journal").chmod(0o1777)
    _, found = _doctor(open_place, "--user", NOBODY)
    assert found["application's user"]["state"] == "ok"
    (open_place).chmod(0o700)
    _, found = _doctor(open_place, "--user", NOBODY)
    assert found["application's user"]["state"] == "failed"


def test_a_user_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    command = [*STANDFAST, "doctor", *_places(tmp_path), "--user", "nobody-of-this-name"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no user 'nobody-of-this-name'" in done.stderr


@needs_root
def test_roots_watcher_makes_a_folder_in_which_every_user_may_record(open_place: Path) -> None:
    places = _places(open_place / "var")
    umask = os.umask(0o077)
    try:
        subprocess.run([*STANDFAST, "watch", "--once", *places], check=True, timeout=60)
    finally:
        os.umask(umask)
    made = open_place / "var" / "journal"
    assert stat.S_IMODE(made.stat().st_mode) == 0o1777
    assert stat.S_IMODE((open_place / "var" / "store.db").stat().st_mode) == 0o600
    journal = str(made)
    assert _as_nobody(lambda: str(_record(journal))) == "1"
    subprocess.run([*STANDFAST, "watch", "--once", *places], check=True, timeout=60)
    command = [*STANDFAST, "report", "crashes", "--json", *places[2:]]
    assert subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@needs_root
def test_every_user_may_record_there_where_root_added_an_account_before(open_place: Path) -> None:
    places = _places(open_place / "var")
    added = ["user", "add", "ada", "--admin", "--generate", *places[2:]]
    subprocess.run([*STANDFAST, *added], check=True, timeout=60, capture_output=True)
    subprocess.run([*STANDFAST, "watch", "--once", *places], check=True, timeout=60)
    assert _as_nobody(lambda: str(_record(str(open_place / "var" / "journal")))) == "1"


@needs_root
def test_doctor_says_why_an_application_records_elsewhere(
    open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_place / "var" / "journal"
    files.make_folder(str(journal), for_all=True)
    monkeypatch.setattr(checkup, "SHARED_FOLDER", str(journal))
    environ = {
        "PYTHONPATH": str(Path(launch.__file__).parent / "hook" / "site"),
        "STANDFAST_JOURNAL": str(open_place / "elsewhere"),
        "STANDFAST_APP": "shop",
    }
    with subprocess.Popen(["sleep", "60"], user=NOBODY, env=environ) as application:
        for mode, expected in ((0o700, checkup.FAILED), (0o711, checkup.OK)):
            journal.parent.chmod(mode)
            found = checkup.check(str(journal), str(open_place / "store.db"))
            users = [one for one in found if one.words.startswith(f"{NOBODY} ")]
            assert [one.state for one in users] == [expected], found
            assert any("shop of nobody records into" in one.words for one in found)
        application.kill()


@needs_root
def test_a_worker_of_another_user_tells_roots_run_that_it_loaded_its_application(
    open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_place / "journal"
    files.make_folder(str(journal), for_all=True)
    path = str(journal / ".run-1")
    assert launch._leave(path)
    assert launch._seen(path) == set()
    monkeypatch.setenv("STANDFAST_MARK", path)

    def loads() -> str:
        mark.reached()
        return "loaded"

    assert _as_nobody(loads) == "loaded"
    assert Path(path).exists()  # /tmp's rule: only its owner may remove it
    assert launch._seen(path) is None


def _record(journal: str) -> int:
    writer = Writer(journal, of_this_process("shop", "a server 1.0"))
    seq = writer.begin(b"127.0.0.1\0GET\0/\0\0\0", time.time_ns(), time.monotonic_ns(), 1)
    writer.end(seq, 5)
    writer.close()
    return seq


def test_a_folder_for_all_users_is_used_where_root_has_made_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setattr(files, "SHARED_FOLDER", str(shared))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.delenv("STANDFAST_JOURNAL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ann/.state")
    own = "/home/ann/.state/standfast/journal"
    assert files.default_folder() == own
    shared.mkdir(mode=0o700)
    assert files.default_folder() == own  # it is for whoever has made it
    shared.chmod(0o1777)
    expected = str(shared) if shared.stat().st_uid == 0 else own
    assert files.default_folder() == expected
    shared.rmdir()
    shared.symlink_to(tmp_path)
    assert files.default_folder() == own


def test_all_is_well_after_an_orderly_stop(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    assert _record(str(tmp_path / "journal")) == 1
    with _running(*STANDFAST, "watch", *_places(tmp_path)):
        # The journal of this process, which lives, is read and stays.
        until = time.monotonic() + 30
        while _doctor(tmp_path)[1]["watcher"]["state"] != "ok" and time.monotonic() < until:
            pass
    child = os.fork()
    if not child:
        try:
            _record(str(tmp_path / "journal"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    for file in (tmp_path / "journal" / "shop").iterdir():
        if file.name.partition(".")[0] == files.uid_of(of_this_process("shop")):
            file.unlink()
    command = [*STANDFAST, "watch", "--once", *_places(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    status, found = _doctor(tmp_path)
    assert status == 0, found
    assert found["recorder"]["words"] == "no application runs; some were recorded before"
    assert found["watcher"]["words"] == "stopped, and nothing is left to read"


def _put(kind: str, path: Path) -> None:
    """Something in the place of what belongs there."""
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path.write_bytes(b"\0\xff" * 100)


@pytest.mark.parametrize(
    "kind", ["link", "loop", "fifo", "folder", "device", "socket", "file of nonsense"]
)
def test_whatever_lies_in_the_place_of_something_is_told_and_ends_nothing(
    tmp_path: Path, kind: str
) -> None:
    uid = files.uid_of(of_this_process("shop"))
    places = (
        "journal", "store.db", "journal/shop", "journal/.watch.lock", "journal/.watch.aside",
        "journal/.run-1", f"journal/shop/{uid}.000001.journal", f"journal/shop/{uid}.fault",
    )  # fmt: skip
    for number, place in enumerate(places):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        _put(kind, folder / place)
        findings = checkup.check(str(folder / "journal"), str(folder / "store.db"))
        assert all(one.words for one in findings)
        assert any(one.state != checkup.OK for one in findings)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder into which other users may go, as they may not into those of tests."""
    with tempfile.TemporaryDirectory(prefix="standfast-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
