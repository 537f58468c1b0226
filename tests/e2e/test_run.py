"""``standfast run`` starts a command and stays out of its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from standfast.record import unmet
from tests.e2e.servers.serving import environment, standfast_run


def run(
    tmp_path: Path, *command: str, patience_s: float | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    variables = {"HOME": str(tmp_path), **more}
    if patience_s is not None:
        variables["STANDFAST_PATIENCE_S"] = str(patience_s)
    return subprocess.run(
        standfast_run(tmp_path / "journal", command),
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_status_and_the_output_are_the_commands(tmp_path: Path, code: int) -> None:
    program = f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})"
    done = run(tmp_path, sys.executable, "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (code, "out\n", "err\n")


def test_the_command_gets_the_place_of_standfast_itself_and_so_its_signals(
    tmp_path: Path,
) -> None:
    command = standfast_run(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"])
    with subprocess.Popen(command, env=environment({"HOME": str(tmp_path)})) as process:
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        until = time.monotonic() + 20
        while cmdline.read_bytes().split(b"\0")[1:2] != [b"-c"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


def test_where_no_known_server_is_met_it_says_so_once(tmp_path: Path) -> None:
    program = "import os, time; os.fork(); time.sleep(1.5)"
    done = run(tmp_path, sys.executable, "-c", program, patience_s=0.3)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = done.stderr.splitlines()
    assert "no server that standfast knows was met" in line
    assert "standfast doctor" in line and "standfast.wsgi.Recorder" in line


def test_a_command_that_is_over_before_that_hears_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "sleep", "0.2", patience_s=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_said_too_early_is_taken_back(tmp_path: Path) -> None:
    program = (
        "import time; time.sleep(1.5); from wsgiref.simple_server import make_server;"
        "make_server('127.0.0.1', 0, print).server_close(); time.sleep(0.5)"
    )
    done = run(tmp_path, sys.executable, "-c", program, patience_s=0.3)
    first, second = done.stderr.splitlines()
    assert "nothing is recorded" in first
    assert second.endswith("has loaded its application: it is recorded.")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("aiohttp.web", ["aiohttp", "neither WSGI nor ASGI"]),
        ("tornado.httpserver", ["tornado", "neither WSGI nor ASGI"]),
    ],
)
def test_a_server_that_is_not_known_is_named_also_when_it_ends_soon(
    tmp_path: Path, module: str, words: list[str]
) -> None:
    done = run(tmp_path, sys.executable, "-c", f"import {module}")
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in [*words, "Known are gunicorn, uvicorn"]), line
    assert ("standfast.asgi" in line, "doctor" in line) == (False, False)
    assert list((tmp_path / "journal").glob(".run-*")) == []


def test_a_server_that_is_not_known_and_serves_wsgi_can_be_recorded_by_hand() -> None:
    assert "standfast.wsgi.Recorder(app)" in unmet.message("serve", 1.0, {"cheroot"})


def test_a_known_server_that_loads_for_long_is_not_called_unknown(tmp_path: Path) -> None:
    # On a busy machine the import alone takes a second.
    program = "import time, gunicorn.arbiter; time.sleep(4)"
    done = run(tmp_path, sys.executable, "-c", program, patience_s=2.5)
    (line,) = done.stderr.splitlines()
    assert "gunicorn has started, and has not loaded an application so far" in line
    assert list((tmp_path / "journal").glob(".run-*")) == []


def test_what_a_killed_command_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    left = tmp_path / "journal" / f".run-{2**22 + 5}"
    left.touch()
    assert run(tmp_path, "true").returncode == 0
    assert not left.exists()


def test_a_pipe_behind_the_command_is_not_held_open(tmp_path: Path) -> None:
    command = " ".join(standfast_run(tmp_path, ["echo", "done"]))
    began = time.monotonic()
    done = subprocess.run(
        f"{command} 2>&1 | cat",
        shell=True,
        env=environment({"HOME": str(tmp_path)}),
        capture_output=True,
        timeout=60,
    )
    assert done.stdout == b"done\n"
    assert time.monotonic() - began < 30, "the pipe stays open for as long as the scout waits"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-command"], "no-such-command"),
        (["/etc/passwd"], "/etc/passwd"),
        ([], "what to run"),
    ],
)
def test_a_command_that_cannot_be_run_is_named(
    tmp_path: Path, command: list[str], words: str
) -> None:
    done = run(tmp_path, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_serves_nothing_leaves_nothing_behind(tmp_path: Path) -> None:
    assert run(tmp_path, "true").returncode == 0
    assert [path for path in (tmp_path / "journal").rglob("*") if path.is_file()] == []


def test_the_environment_of_the_command_is_its_own_but_for_what_recording_needs(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "env", "-0", PYTHONPATH="/somewhere", SHOP="x")
    seen = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    wanted = environment({"HOME": str(tmp_path), "SHOP": "x"})
    for name, value in wanted.items():
        assert seen.get(name) == value, name
    assert seen["PYTHONPATH"].split(os.pathsep)[1:] == ["/somewhere"]
    extra = set(seen) - set(wanted) - {"PYTHONPATH", "_"}
    assert all(name.startswith("STANDFAST_") for name in extra), extra
