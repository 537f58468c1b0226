from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from standfast.errors import StandfastError
from standfast.watch.lock import is_watched, watching


def test_a_folder_has_one_watcher_and_the_second_is_told_which(tmp_path: Path) -> None:
    assert is_watched(str(tmp_path)) is None
    with watching(str(tmp_path)):
        assert is_watched(str(tmp_path)) == os.getpid()
        with pytest.raises(StandfastError, match=f"process {os.getpid()} watches it"):
            watching(str(tmp_path)).__enter__()
    assert is_watched(str(tmp_path)) is None
    with watching(str(tmp_path)):
        pass


def test_a_killed_watcher_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from standfast.watch.lock import watching;"
        " it = watching(sys.argv[1]); it.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert is_watched(str(tmp_path)) == child.pid
        child.kill()
        child.wait()
    assert is_watched(str(tmp_path)) is None
    with watching(str(tmp_path)):
        pass


def test_asking_does_not_keep_a_watcher_out(tmp_path: Path) -> None:
    with watching(str(tmp_path)):
        pass
    code = "import sys; from standfast.watch.lock import is_watched\n" + (
        "print('asking', flush=True)\nfor _ in range(20000): is_watched(sys.argv[1])"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(100):
            with watching(str(tmp_path)):
                pass
        child.kill()


def test_the_folder_is_made_for_its_owner_and_by_root_for_all_applications(tmp_path: Path) -> None:
    with watching(str(tmp_path / "state" / "journal")):
        made = stat.S_IMODE((tmp_path / "state" / "journal").stat().st_mode)
        assert made == (0o1777 if os.geteuid() == 0 else 0o700)


def test_a_folder_that_cannot_be_used_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StandfastError, match="--journal"):
        watching(str(tmp_path / "file")).__enter__()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("1234")
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / ".watch.lock").symlink_to(precious)
    with watching(str(tmp_path / "journal")):
        assert is_watched(str(tmp_path / "journal")) == os.getpid()
    assert precious.read_text() == "1234"
