"""docs/journal-format.md holds what the code does; to renew its dump, run this module."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from standfast.journal.append import AppendWriter
from standfast.journal.reader import SegmentReader
from standfast.watch.inflight import in_flight
from tests.tools import need
from tests.unit.journal.segments import WORKER, read, segment_of, unpacked

DOCUMENT = Path(__file__).parents[3] / "docs" / "journal-format.md"
_DUMP = re.compile(r"(?<=<!-- dump -->\n```\n)(.*?)(?=```\n<!-- end of dump -->)", re.DOTALL)
_PERL = re.compile(r"```perl\n(.*?)```", re.DOTALL)
#: (bytes, what they are): the fixed parts; texts follow as long as they are.
_HEADER = (
    (8, "magic"), (2, "version"), (2, "size"), (4, "checksum"), (8, "lost"), (4, "segment"),
    (4, "pid"), (8, "start ticks"), (8, "wall clock"), (8, "monotonic clock"),
    (8, "pid namespace"), (8, "capacity"), (8, "answers"),
)  # fmt: skip
_HEAD = ((2, "size"), (1, "type"), (1, "flags"), (4, "checksum"))
_BEGIN = ((8, "number"), (8, "wall clock"), (8, "monotonic clock"), (8, "thread"))
_END = ((8, "number"), (8, "duration"), (8, "CPU time"), (8, "bytes sent"), (2, "status"),
        (8, "background"))  # fmt: skip


def dump(data: bytes) -> str:
    """An annotated dump of a segment of begin and end records."""
    size = int.from_bytes(data[10:12], "little")
    lines = ["header", *_parts(data[:size], _HEADER, "texts")]
    at = size
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "little")
        name, fixed = {0xB1: ("begin", _BEGIN), 0xE1: ("end", _END)}[data[at + 2]]
        whole = data[at : (at + size + 7) & -8]
        lines += ["", name, *_parts(whole[:size], (*_HEAD, *fixed), "texts", at)]
        lines += _lines(whole[size:], "padding", at + size)
        at += len(whole)
    return "\n".join(lines) + "\n"


def _parts(data: bytes, parts: tuple[tuple[int, str], ...], rest: str, start: int = 0) -> list[str]:
    lines: list[str] = []
    at = 0
    for size, name in parts:
        lines += _lines(data[at : at + size], name, start + at)
        at += size
    return [*lines, *_lines(data[at:], rest, start + at)]


def _lines(data: bytes, name: str, start: int) -> Iterator[str]:
    for at in range(0, len(data), 16):
        some = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in some)
        shown = text if name in ("magic", "texts") else ""
        what = name if at == 0 else ""
        yield f"{start + at:04x}  {some.hex(' '):<47}  {what:<15} {shown}".rstrip()


def example() -> bytes:
    """A segment that is always the same."""
    with tempfile.TemporaryDirectory() as folder:
        with (
            mock.patch("time.time_ns", return_value=1_790_000_000_000_000_000),
            mock.patch("time.monotonic_ns", return_value=86_400_000_000_000),
        ):
            writer = AppendWriter(folder, WORKER)
        thread = 0x7F12_3456_7700
        fine = b"192.0.2.7\0GET\0/fine?page=2\0shop.example\0\0curl/8"
        killer = b"192.0.2.7\0POST\0/killer\0shop.example\0\0curl/8"
        writer.begin(fine, 1_790_000_001_000_000_000, 86_401_000_000_000, thread)
        writer.end(1, 1_500_000, 200, sent=512)
        writer.begin(killer, 1_790_000_002_000_000_000, 86_402_000_000_000, thread)
        writer.close()
        return segment_of(Path(folder)).read_bytes()


def test_the_dump_in_the_document_is_what_the_code_writes() -> None:
    found = _DUMP.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None and found[1] == dump(example())


@pytest.fixture
def perl(tmp_path: Path) -> list[str]:
    need("perl")
    found = _PERL.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None
    (tmp_path / "writer.pl").write_text(found[1])
    return ["perl", str(tmp_path / "writer.pl"), str(tmp_path / "journal"), "shop"]


def test_the_perl_program_in_the_document_writes_a_sound_journal(
    perl: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(perl, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    path = segment_of(tmp_path / "journal")
    records, damaged, _ = read(path)
    assert damaged == 0
    fine, end, killer = map(unpacked, records)
    assert (fine.uri, fine.client, fine.user_agent) == ("/fine?page=2", "192.0.2.7", "Perl")  # type: ignore[union-attr]
    assert (end.seq, end.duration_ns, end.status, end.sent) == (1, 1_500_000, 200, None)  # type: ignore[union-attr]
    assert (killer.seq, killer.method, killer.uri) == (2, "POST", "/killer")  # type: ignore[union-attr]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_reports_read_what_another_language_wrote(perl: list[str], tmp_path: Path) -> None:
    program = Path(perl[1])
    program.write_text(program.read_text() + "print 'ready'; $| = 1; print qq(\\n); sleep 60;\n")
    with subprocess.Popen(perl, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        found = in_flight(str(tmp_path / "journal"), None, None)
        running.kill()
    assert [(one.uri, one.worker_pid) for one in found] == [("/killer", running.pid)]


def test_what_another_language_has_begun_survives_its_death(
    perl: list[str], tmp_path: Path
) -> None:
    done = subprocess.run([*perl, "die"], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with SegmentReader(str(segment_of(tmp_path / "journal"))) as reader:
        assert reader.header is not None
        assert (reader.header.app, reader.header.server) == ("shop", "Perl")
        assert len(reader.read()) == 3


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_DUMP.sub(lambda _: dump(example()), text), encoding="utf-8")
    sys.stdout.write(dump(example()))
