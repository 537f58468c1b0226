"""Several users on one host: what one of them can do to another, tried as those users."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from standfast.errors import StandfastError
from standfast.journal.files import app_folder
from standfast.store.tables import evidence, incident, ordinary_request, request, worker
from standfast.watch.lock import is_watched, watching
from standfast.watch.quarantine import set_aside
from tests.unit.watch.journals import House, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="to be other users takes root")

#: Two users of whom this host need not know anything: numbers are enough for the kernel.
TENANT, OTHER = 60_001, 60_002


@pytest.fixture
def house() -> Iterator[House]:
    """A journal folder for several users, as /tmp is one; the store is root's."""
    place = Path(tempfile.mkdtemp(prefix="standfast-tenants-"))
    try:
        place.chmod(0o755)
        made = House(place)
        made.folder.chmod(0o1777)
        yield made
        made.watcher.close()
    finally:
        shutil.rmtree(place)


#: Loads what is needed while this Python can be read: it may lie where only root comes.
_BECOME = """
import fcntl, json, os, pathlib, sys, time
from standfast.journal import identity
from standfast.journal.writer import Writer
from standfast.watch.lock import is_watched
uid = int(sys.argv.pop(1))
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
os.umask(0o022)
"""


def start_as(uid: int, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Python code in a process of that user; it says something when it is ready."""
    command = [sys.executable, "-c", _BECOME + code, str(uid), *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd="/"
    )


def run_as(uid: int, code: str, *arguments: object) -> str:
    """The same to its end; what it printed."""
    with start_as(uid, code, *arguments) as child:
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0
    return said


#: Writes one request into the journal of an application, in the name of any process.
_WRITE = """
folder, app, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
who = identity.of_this_process(app, "gunicorn/23.0", "")
if pid:
    who = who._replace(pid=pid, start_ticks=identity.start_ticks(pid))
writer = Writer(folder, who)
fields = b"192.0.2.1\\0GET\\0/of-%s\\0shop.test\\0\\0" % app.encode()
seq = writer.begin(fields, time.time_ns(), 1, 1)
print(writer.uid, seq, flush=True)
sys.stdin.readline()
if not pid:
    writer.end(seq, 1000000, 200)
print("closed", flush=True)
sys.stdin.readline()
"""


def say(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_an_application_of_another_user_is_watched_as_ever(house: House) -> None:
    with start_as(TENANT, _WRITE, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        assert [one.pid for one in house.watcher.intake.roster.living()] == [child.pid]
        child.kill()
        child.wait()
        house.drain()
    assert house.row(request).outcome == "unfinished"
    assert house.row(incident).worker_id == house.row(worker).id
    assert house.warnings == []


def test_a_forged_header_makes_nobody_look_into_another_users_process(house: House) -> None:
    with (
        start_as(0, "input()") as victim,
        start_as(TENANT, _WRITE, house.folder, "evil", victim.pid) as forger,
    ):
        hear(forger)
        house.drain()
        assert house.watcher.intake.roster.living() == []
        assert house.row(request).uri == "/of-evil", "its own requests are its own affair"
        victim.kill()
        victim.wait()
        house.drain()
        forger.kill()
    assert house.row(incident).kind == "death"
    assert house.rows(evidence) == [], "nothing of how that process ended"
    told = "".join(house.warnings)
    assert f"names process {victim.pid}, which is not of user {TENANT}" in told


#: The same in the name of a process that is over, and the word that it was the parent of another.
_CLAIM = """
folder, pid = sys.argv[1], int(sys.argv[2])
who = identity.of_this_process("evil", "gunicorn/23.0", "")
over, parent = Writer(folder, who._replace(pid=pid, start_ticks=1)), Writer(folder, who)
for one in over, parent:
    one.begin(b"\\0\\0/\\0\\0\\0", time.time_ns(), 1, 1)
parent.exit(pid + 1, 1, 3, time.time_ns(), 0x20)
print("claimed")
"""


def logged(house: House, owner: int, pid: int) -> None:
    """Has the watcher follow a log of that user, which tells of the end of two processes."""
    log = house.folder.parent / "error.log"
    log.touch(0o600)
    os.chown(log, owner, owner)
    house.watcher.close()
    house.settings = replace(house.settings, server_logs=(str(log),))
    house.watcher = house.new_watcher()
    house.drain()
    at = datetime.now(UTC).strftime("[%Y-%m-%d %H:%M:%S +0000]")
    words = f"{at} [%d] [ERROR] Exception in worker process\nTraceback\n  secret\n"
    log.write_text("".join(words % each for each in (pid, pid + 1)))


@pytest.mark.parametrize("owner", [0, OTHER])
def test_a_forged_number_reads_nothing_of_another_users_process_in_a_log(
    house: House, owner: int
) -> None:
    logged(house, owner, 1_234_567)
    run_as(TENANT, _CLAIM, house.folder, 1_234_567)
    house.drain()
    assert len(house.rows(incident)) == 3
    assert [one for one in house.rows(evidence) if one.source == "server log"] == []


def test_a_users_own_log_tells_of_own_processes_and_of_nobody_elses(house: House) -> None:
    logged(house, TENANT, 1_234_567)
    run_as(TENANT, _CLAIM, house.folder, 1_234_567)
    house.drain()
    own = [one for one in house.rows(evidence) if one.source == "server log"]
    assert len(own) == 2
    assert all("secret" in one.text for one in own)

    with start_as(OTHER, _WRITE, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        logged(house, TENANT, child.pid)
        child.kill()
        child.wait()
        house.drain()
    (theirs,) = house.rows(worker, pid=child.pid)
    told = house.rows(evidence, worker_id=theirs.id)
    assert [one for one in told if one.source == "server log"] == []


def test_a_worker_that_root_started_and_that_gave_up_its_rights_is_looked_at(house: House) -> None:
    """As gunicorn --user does; its journal may be root's still, or its own already."""
    drop = f"os.setgid({TENANT}); os.setuid({TENANT})\n"
    before = drop + _WRITE
    after = _WRITE.replace("print(writer.uid", drop + "print(writer.uid")
    folder = Path(app_folder(str(house.folder), "shop"))
    folder.mkdir()
    os.chown(folder, TENANT, TENANT)
    for each in (before, after):
        with start_as(0, each, house.folder, "shop", 0) as child:
            hear(child)
            house.drain()
            assert child.pid in [one.pid for one in house.watcher.intake.roster.living()]
            child.kill()
    assert house.warnings == []


def test_a_process_of_which_only_the_effective_user_is_the_owner_is_not_looked_at(
    house: House,
) -> None:
    with start_as(0, f"os.seteuid({TENANT})\n" + _WRITE, house.folder, "half", 0) as child:
        hear(child)
        house.drain()
        assert house.watcher.intake.roster.living() == []
        child.kill()


def test_a_process_that_becomes_another_users_is_looked_at_no_more(house: House) -> None:
    """By running a set-user-id program: its number and its start stay, its rights change."""
    if os.statvfs(house.folder).f_flag & os.ST_NOSUID:
        pytest.skip("set-user-id programs have no effect in the folder for temporary files")
    found = shutil.which("sleep")
    assert found is not None
    program = Path(shutil.copy(found, house.folder.parent / "sleep"))
    program.chmod(0o4755)
    exec_it = f'os.execv("{program}", ["sleep", "60"])\n'
    code = _WRITE.replace('print("closed"', exec_it + 'print("closed"')
    with start_as(TENANT, code, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        assert [one.pid for one in house.watcher.intake.roster.living()] == [child.pid]
        say(child)
        wait_until(lambda: Path(f"/proc/{child.pid}").stat().st_uid == 0)
        house.drain()
        assert house.watcher.intake.roster.living() == []
        child.kill()


def test_whoever_may_only_read_the_folder_cannot_keep_the_watcher_out(house: House) -> None:
    lock = house.folder / ".watch.lock"
    grab = (
        "import fcntl, os, sys\n"
        "fd = os.open(sys.argv[1], int(sys.argv[2]), 0o666)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB); print('held', flush=True)\n"
        "sys.stdin.readline()"
    )
    with watching(str(house.folder)):
        pass
    assert lock.stat().st_mode & 0o777 == 0o600
    with start_as(TENANT, grab, lock, os.O_RDONLY) as thief:
        assert hear(thief) == "", "it cannot even open it"
    # Nor by a file that was made first, by that user or by a watcher of an earlier version.
    for owner in (TENANT, 0):
        lock.unlink(missing_ok=True)
        lock.touch()
        lock.chmod(0o666)
        os.chown(lock, owner, owner)
        with start_as(TENANT, grab, lock, os.O_RDONLY) as thief:
            assert hear(thief) == "held"
            with watching(str(house.folder)):
                assert lock.stat().st_uid == 0
                assert is_watched(str(house.folder)) == os.getpid()
            thief.kill()


@pytest.mark.parametrize(
    "make",
    [
        "os.mkdir(place); open(place + '/x', 'w')",
        "os.mkfifo(place)",
        "os.symlink('/etc/passwd', place)",
        "os.symlink('nowhere', place)",
        "import socket; os.chdir(os.path.dirname(place));"
        " socket.socket(socket.AF_UNIX).bind('.watch.lock')",
    ],
    ids=["folder", "pipe", "link", "dangling", "socket"],
)
def test_nothing_that_another_user_puts_in_place_of_the_lock_keeps_the_watcher_out(
    house: House, make: str
) -> None:
    run_as(TENANT, "place = sys.argv[1]\n" + make, house.folder / ".watch.lock")
    with watching(str(house.folder)):
        assert is_watched(str(house.folder)) == os.getpid()


def test_a_watcher_of_an_earlier_version_still_keeps_a_second_one_out(house: House) -> None:
    lock = house.folder / ".watch.lock"
    lock.touch(0o644)
    with lock.open("r+") as earlier:
        fcntl.flock(earlier, fcntl.LOCK_EX)
        with pytest.raises(StandfastError, match="watches it already"), watching(str(house.folder)):
            pass


def test_every_user_can_ask_whether_a_watcher_runs(house: House) -> None:
    ask = "import sys; from standfast.watch.lock import is_watched; print(is_watched(sys.argv[1]))"
    assert run_as(TENANT, ask, house.folder).strip() == "None"
    with watching(str(house.folder)):
        assert run_as(TENANT, ask, house.folder).strip() == str(os.getpid())
    assert run_as(TENANT, ask, house.folder).strip() == "None"


def test_a_lock_whose_file_a_cleaner_removed_is_taken_again(house: House) -> None:
    with watching(str(house.folder)) as is_ours:
        (house.folder / ".watch.lock").unlink()
        is_ours()
        assert is_watched(str(house.folder)) == os.getpid()
        (house.folder / ".watch.lock").unlink()
        with watching(str(house.folder)), pytest.raises(StandfastError, match="already"):
            is_ours()


def test_a_link_that_another_user_made_leads_no_journal_into_another_folder(house: House) -> None:
    """At its limit an application would make the journals of the other one give way."""
    first = run_as(TENANT, _WRITE, house.folder, "shop", 0)
    assert first.split()[1] != "0"
    before = sorted((house.folder / "shop").iterdir())
    run_as(OTHER, "os.symlink(sys.argv[1], sys.argv[2])", house.folder / "shop", house.folder / "b")
    assert run_as(TENANT, _WRITE, house.folder, "b", 0).split()[1] == "0", "it goes unrecorded"
    assert sorted((house.folder / "shop").iterdir()) == before


def test_a_folder_that_another_user_made_first_is_noticed(house: House) -> None:
    squat = "import os, sys; os.mkdir(sys.argv[1]); os.chmod(sys.argv[1], 0o777)"
    run_as(OTHER, squat, app_folder(str(house.folder), "shop"))
    with start_as(TENANT, _WRITE, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        child.kill()
    (told,) = set_aside(str(house.folder))
    assert f"belongs to user {OTHER}, who can delete the journals of user {TENANT}" in told.reason
    assert len(house.rows(request)) == 1


def test_a_journal_that_somebody_deletes_is_missed(house: House) -> None:
    with start_as(TENANT, _WRITE, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        delete = "import pathlib, sys\nfor one in pathlib.Path(sys.argv[1]).iterdir(): one.unlink()"
        run_as(TENANT, delete, app_folder(str(house.folder), "shop"))
        house.drain()
        (told,) = set_aside(str(house.folder))
        assert f"the journal of process {child.pid} has been deleted" in told.reason
        child.kill()


def test_nobody_else_reads_what_is_recorded_or_what_is_told_of_it(house: House) -> None:
    with start_as(TENANT, _WRITE, house.folder, "shop", 0) as child:
        hear(child)
        house.drain()
        snoop = (
            "import json, os, sys\nseen = []\n"
            "for root, folders, names in os.walk(sys.argv[1]):\n"
            "    for name in names:\n"
            "        try: open(os.path.join(root, name)).read(); seen.append(name)\n"
            "        except PermissionError: pass\n"
            "print(json.dumps(seen))"
        )
        assert json.loads(run_as(OTHER, snoop, house.folder.parent)) == []
        child.kill()


def test_an_application_that_writes_as_fast_as_it_can_holds_up_nobody(house: House) -> None:
    flood = _WRITE.replace(
        "sys.stdin.readline()\n",
        "while True:\n    writer.end(writer.begin(b'a\\0GET\\0/f\\0\\0\\0', time.time_ns(), 1, 1),"
        " 1, 200)\n",
        1,
    )
    with (
        start_as(OTHER, flood, house.folder, "flood", 0) as loud,
        start_as(TENANT, _WRITE, house.folder, "shop", 0) as quiet,
    ):
        hear(loud)
        hear(quiet)
        said = house.folder.parent / "said"
        code = (
            "import sys; from standfast.watch import Settings, watch\n"
            "watch(sys.argv[1], sys.argv[2], settings=Settings(hang_s=0.5, slow_s=0.1))"
        )
        with said.open("w") as out, start_as_root(code, house, out) as watcher:
            wait_until(lambda: house.rows(incident, kind="hang"), 60)
            assert loud.poll() is None
            quiet.kill()
            quiet.wait()
            wait_until(lambda: house.rows(incident, kind="death"), 60)
            assert len(house.rows(ordinary_request)) > 0
            watcher.kill()
        loud.kill()


def start_as_root(code: str, house: House, out: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, str(house.folder), house.url]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=env, stderr=out)  # type: ignore[call-overload,no-any-return]
