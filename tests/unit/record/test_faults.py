"""The traceback of a fatal signal: in its own process's file, and the application's left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_START = """
import faulthandler, os, signal, sys
from standfast.wsgi import Recorder
journal, own = sys.argv[1:3]

def serve():
    recorder = Recorder(lambda environ, start_response: [b""], name="shop", journal=journal)
    recorder({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *arguments: None)

def in_child(do):
    pid = os.fork()
    if not pid:
        do()
        os._exit(0)
    os.waitpid(pid, 0)

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)

def serve_and_crash():
    serve()
    print(os.getpid(), flush=True)
    crash()

serve()
"""


def run(code: str, place: Path) -> tuple[list[str], dict[str, str]]:
    """What the code printed, and the texts of the fault files by the pids in their names."""
    command = [sys.executable, "-c", _START + code, str(place / "journal"), str(place / "own")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    files = (place / "journal" / "shop").glob("*.fault")
    return done.stdout.split(), {file.name.partition("-")[0]: file.read_text() for file in files}


def test_the_applications_own_handler_still_works_in_a_child_that_is_forked_later(
    tmp_path: Path,
) -> None:
    _, faults = run('file = open(own, "a"); faulthandler.enable(file); in_child(crash)\n', tmp_path)
    assert "Segmentation fault" in (tmp_path / "own").read_text()
    assert "".join(faults.values()) == ""


def test_a_child_that_crashes_is_not_read_in_its_parents_file(tmp_path: Path) -> None:
    _, faults = run("in_child(crash)\n", tmp_path)
    assert list(faults.values()) == [""]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_child_that_serves_requests_has_a_file_of_its_own(tmp_path: Path, depth: int) -> None:
    nested = "lambda: in_child(" * (depth - 1) + "serve_and_crash" + ")" * (depth - 1)
    said, faults = run(f"in_child({nested})\n", tmp_path)
    assert len(faults) == 2
    assert "Segmentation fault" in faults.pop(said[-1])
    assert list(faults.values()) == [""]


def test_a_file_that_has_the_number_of_ours_by_now_is_left_alone(tmp_path: Path) -> None:
    """As a child that makes a daemon of itself closes all descriptors that it has inherited."""
    said, _ = run(
        """
def daemon():
    os.closerange(3, 64)
    files = [open(f"{own}{number}", "w+") for number in range(32)]
    serve()
    in_child(lambda: None)
    for number, file in enumerate(files):
        file.write(str(number)); file.flush(); file.seek(0)
    print(*[file.read() for file in files], flush=True)
in_child(daemon)
""",
        tmp_path,
    )
    assert said == [str(number) for number in range(32)]
    assert [(tmp_path / f"own{number}").read_text() for number in range(32)] == said
