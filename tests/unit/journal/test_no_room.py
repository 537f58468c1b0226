"""Where the disk or the folder refuses, the application does not notice, and nothing is hidden."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.journal.reader import SegmentReader
from tests.unit.journal.segments import read_folder, segment_of, seqs

NOBODY = 65534
#: How long an answer may take, in seconds, on a machine that is busy with other things.
PATIENCE_S = 120

#: Serves as many requests as each line of its input says, a while after the line before, and
#: prints how many were answered well, how many went unrecorded and how many segments there are.
SERVE = """
import logging, os, sys, time  # nobody may find no way to the files of this Python later
from standfast.journal.writer import RETRY_NS
from standfast.wsgi import Recorder

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "HTTP_USER_AGENT": "x" * 900}
recorder = Recorder(app, name="shop", journal=sys.argv[1])
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
for line in sys.stdin:
    time.sleep(RETRY_NS / 1e9 + 0.05)
    count = int(line)
    bodies = [recorder(dict(environ), lambda *_: None) for _ in range(count)]
    writer = recorder.channel.writer
    print(bodies.count([b"hello"]), writer.lost, writer.next_seq - 1, flush=True)
"""


class Application:
    """A process that serves requests when it is told to."""

    def __init__(self, journal: Path, *, as_nobody: bool = False) -> None:
        command = [sys.executable, "-c", SERVE, str(journal)] + as_nobody * [str(NOBODY)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def serve(self, count: int) -> tuple[int, int, int]:
        """Requests answered well now; lost and recorded since the start."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        # Not select(2), which knows no descriptor above 1023.
        answering = select.poll()
        answering.register(self._process.stdout, select.POLLIN)
        if not answering.poll(PATIENCE_S * 1000):
            pytest.fail(f"the application gave no answer in {PATIENCE_S} s: {self._state()}")
        answered, lost, recorded = map(int, self._process.stdout.readline().split())
        return answered, lost, recorded

    def _state(self) -> str:
        """What the kernel says that the process does: its state, and where it waits."""
        own = Path(f"/proc/{self._process.pid}")
        state = (own / "stat").read_text().rpartition(")")[2].split()[0]
        return f"state {state}, waits in {(own / 'wchan').read_text()}"

    def close(self) -> tuple[int, str]:
        """Ends the process; its exit status and what it said on stderr."""
        _, said = self._process.communicate(timeout=60)
        return self._process.returncode, said


@contextmanager
def application(journal: Path, *, as_nobody: bool = False) -> Iterator[Application]:
    app = Application(journal, as_nobody=as_nobody)
    try:
        yield app
    finally:
        app._process.kill()
        app._process.wait()


def test_a_folder_that_may_not_be_written_to_leaves_the_application_unharmed(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir(mode=0o555)
    root = os.getuid() == 0
    if root:
        # For nobody there has to be a way to the folder.
        for parent in (tmp_path, *tmp_path.parents):
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o001)
            if parent.name.startswith("pytest-of-"):
                break
    with application(journal, as_nobody=root) as app:
        assert app.serve(100) == (100, 100, 0)
        assert app.serve(100) == (100, 200, 0)
        assert list(journal.iterdir()) == []
        journal.chmod(0o777)
        assert app.serve(10) == (10, 200, 10)
        status, said = app.close()
    assert status == 0
    (line,) = said.splitlines()
    assert line == (
        "standfast: cannot record requests: [Errno 13] Permission denied:"
        f" '{journal}/shop'; the application runs on, unrecorded"
    )
    ((reader, records),) = read_folder(journal)
    assert reader.header is not None and reader.header.lost == 200
    assert seqs(records) == [seq for seq in range(1, 11) for _ in ("begin", "end")]


def test_a_journal_folder_that_is_no_folder_leaves_the_application_unharmed(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal").write_text("a file")
    with application(tmp_path / "journal") as app:
        assert app.serve(5) == (5, 5, 0)
        status, said = app.close()
    assert (status, len(said.splitlines())) == (0, 1)
    assert "Not a directory" in said


def test_an_application_without_a_stderr_is_unharmed_too(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.stderr.close(); sys.stderr = None\n" + SERVE,
         str(tmp_path / "journal")],
        input="5\n", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "5 5 0\n")


MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for two segments of 4 MiB and a little more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "standfast-test", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path, size: int | None = None) -> int:
    """Takes ``size`` bytes, or all that are left, from the disk; how many these were."""
    taken = 0
    with path.open("wb", buffering=0) as file:
        try:
            while size is None or taken < size:
                taken += file.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == 28
    return taken


def test_a_full_disk_leaves_the_application_unharmed_and_recording_comes_back(
    small_disk: Path,
) -> None:
    journal = small_disk / "journal"
    with application(journal) as app:
        assert app.serve(10) == (10, 0, 10)
        # Not one block is left, and still the segment that there is can be written to the end.
        fill(small_disk / "filler")
        answered, lost, recorded = app.serve(5000)
        assert answered == 5000
        assert lost > 500 and recorded > 3000
        assert segment_of(journal).stat().st_size == 4 * MIB
        with SegmentReader(str(segment_of(journal))) as reader:
            assert reader.lost() == lost
        assert app.serve(100) == (100, lost + 100, recorded)
        assert [path.name for path in (journal / "shop").iterdir() if ".new" in path.name] == []

        (small_disk / "filler").unlink()
        answered, lost_in_all, recorded_in_all = app.serve(100)
        assert (answered, lost_in_all, recorded_in_all) == (100, lost + 100, recorded + 100)
        status, said = app.close()
    assert status == 0, "no SIGBUS, and no other end either"
    (line,) = said.splitlines()
    assert line.startswith("standfast: cannot record requests: [Errno 28] No space left on device")
    (first, old), (second, new) = read_folder(journal)
    assert first.ended and first.header is not None and second.header is not None
    assert first.header.lost == second.header.lost == lost_in_all
    begun = list(zip(kinds(old + new), seqs(old + new), strict=True))
    assert [seq for kind, seq in begun if kind == "begin"] == [*range(1, recorded_in_all + 1)]
    assert len(kinds(old)) + len(kinds(new)) == 2 * recorded_in_all


def test_a_disk_without_room_for_one_segment_records_nothing_and_says_so_once(
    small_disk: Path,
) -> None:
    fill(small_disk / "filler", 6 * MIB)
    with application(small_disk / "journal") as app:
        assert app.serve(50) == (50, 50, 0)
        assert app.serve(50) == (50, 100, 0)
        status, said = app.close()
    assert (status, len(said.splitlines())) == (0, 1)
    assert list((small_disk / "journal" / "shop").glob("*.journal")) == []


def kinds(records: list[tuple[int, int, bytes]]) -> list[str]:
    return [{0xB1: "begin", 0xE1: "end"}[kind] for kind, _, _ in records]
