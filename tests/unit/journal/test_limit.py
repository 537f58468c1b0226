"""Journals have an upper bound: ordinary segments give way, and nothing that tells of a crash."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from standfast.journal import files, identity, ordinary
from standfast.journal.append import AppendWriter
from standfast.journal.format import ABORTED, END, MIN_SEGMENT_SIZE, SEGMENT_LIMIT, SEGMENT_SIZE
from standfast.journal.identity import Identity
from standfast.journal.limit import LEAST, MOST, default_limit, parse_size
from standfast.journal.ordinary import PIECE
from standfast.journal.reader import SegmentReader
from standfast.journal.writer import Writer
from tests.unit.journal.segments import new_writer, read_folder, segment_of, seqs, unpacked

FIELDS = b"192.0.2.7\0GET\0/\0\0\0"
ME = identity.of_this_process("shop")


def dead(number: int) -> Identity:
    """A process that is gone: whoever has its pid now was started at another time."""
    return ME._replace(pid=100_000 + number, start_ticks=77 + number)


def journal_of_the_dead(
    journal: Path, number: int, *, ended: bool = True, status: int = 200, error: bytes = b"",
    kind: int = END << 16,
) -> Path:  # fmt: skip
    """The only segment of a dead worker that has served two requests, or begun the second."""
    writer = new_writer(journal, dead(number))
    for last in (False, True):
        seq = writer.begin(FIELDS, 1, 2, 3)
        if ended or not last:
            writer.end(seq, 5, status=status if last else 200, error=error, kind=kind)
    writer.close()
    (path,) = journal.glob(f"shop/{writer.uid}.*")
    os.utime(path, (number, number))
    return path


def refused(writer: Writer) -> int:
    """How often a request goes unrecorded before one is recorded: what may go is looked for a
    piece at a time."""
    for tries in range(100):
        if writer.begin(FIELDS, 1, 2, 3):
            return tries
        writer._retry_at = 0
    raise AssertionError(writer.error)


def limit_of(segments: int) -> int:
    return segments * MIN_SEGMENT_SIZE + 4096


def test_the_oldest_ordinary_segments_of_the_dead_go_first_and_are_counted(tmp_path: Path) -> None:
    old = [journal_of_the_dead(tmp_path, number) for number in range(4)]
    writer = new_writer(tmp_path, ME, limit=limit_of(3))
    lost = 4 + refused(writer)
    assert [path.exists() for path in old] == [False, False, True, True]
    assert writer.lost == lost
    with SegmentReader(str(next(tmp_path.glob(f"shop/{writer.uid}.*")))) as reader:
        assert reader.lost() == lost


@pytest.mark.parametrize(
    "kept",
    [
        {"ended": False},
        {"status": 500},
        {"error": b"ValueError"},
        {"kind": ABORTED << 24 | END << 16},
    ],
    ids=["unfinished", "status", "error", "aborted"],
)
def test_what_is_unfinished_or_failed_never_gives_way_and_recording_stops_with_a_count(
    tmp_path: Path, kept: dict[str, int]
) -> None:
    path = journal_of_the_dead(tmp_path, 1, **kept)  # type: ignore[arg-type]
    writer = new_writer(tmp_path, ME, limit=limit_of(1))
    assert [writer.begin(FIELDS, 1, 2, 3) for _ in range(3)] == [0, 0, 0]
    assert writer.lost == 3
    assert "journal_limit" in str(writer.error)
    path.unlink()  # as a watcher does when it has stored what is in it
    writer._retry_at = 0
    assert writer.begin(FIELDS, 1, 2, 3) == 1
    assert writer.error is None
    ((reader, _),) = read_folder(tmp_path)
    assert reader.header is not None and reader.header.lost == 3


def test_a_fatal_signal_that_left_its_traceback_keeps_the_segment(tmp_path: Path) -> None:
    path = journal_of_the_dead(tmp_path, 1)
    (uid, _) = files.parse_segment_name(path.name) or ("", 0)
    fault = path.with_name(uid + files.FAULT_SUFFIX)
    fault.write_text("Fatal Python error: Segmentation fault")
    writer = new_writer(tmp_path, ME, limit=limit_of(1))
    assert writer.begin(FIELDS, 1, 2, 3) == 0
    fault.write_text("")
    writer._retry_at = 0
    other = new_writer(tmp_path, ME, limit=limit_of(1))
    assert other.begin(FIELDS, 1, 2, 3) == 1
    assert not path.exists() and not fault.exists()


def test_the_masters_word_never_gives_way(tmp_path: Path) -> None:
    master = new_writer(tmp_path, dead(1))
    master.signal(4, 5, signal.SIGKILL, 1, 30, 6)
    master.close()
    assert new_writer(tmp_path, ME, limit=limit_of(1)).begin(FIELDS, 1, 2, 3) == 0


@pytest.mark.parametrize(
    "stranger",
    [
        ME._replace(start_ticks=7, host="another.example.org"),
        ME._replace(start_ticks=7, pid_namespace=1),
        ME,
    ],
    ids=["another host", "another namespace", "alive"],
)
def test_only_who_is_known_to_be_dead_loses_their_newest_segment(
    tmp_path: Path, stranger: Identity
) -> None:
    other = Writer(str(tmp_path), stranger, segment_size=MIN_SEGMENT_SIZE)
    other.end(other.begin(FIELDS, 1, 2, 3), 5)
    assert new_writer(tmp_path, dead(1), limit=limit_of(1)).begin(FIELDS, 1, 2, 3) == 0
    assert len(list(tmp_path.glob("shop/*.journal"))) == 1


def test_what_a_busy_worker_has_filled_gives_way_at_last_and_no_request_seems_unfinished(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path, ME, limit=limit_of(3))
    before = 0
    for _ in range(6000):  # each ends when the next one has begun, as with threads
        seq = writer.begin(FIELDS + b"x" * 200, 1, 2, 3)
        assert seq
        if before:
            writer.end(before, 5)
        before = seq
    assert len(list(tmp_path.glob("shop/*.journal"))) == 3
    records = [record for _, found in read_folder(tmp_path) for record in found]
    begun = {seq for seq, record in zip(seqs(records), records, strict=True) if record[0] == 0xB1}
    ended = {seq for seq, record in zip(seqs(records), records, strict=True) if record[0] == 0xE1}
    assert begun - ended == {before}
    assert len(begun) + writer.lost == 6000


def test_a_request_that_never_ended_keeps_its_segment_while_later_ones_come_and_go(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path, ME, limit=limit_of(3))
    hanging = writer.begin(FIELDS, 1, 2, 3)
    recorded = 0
    for _ in range(6000):
        seq = writer.begin(FIELDS + b"x" * 200, 1, 2, 3)
        recorded += seq > 0
        if seq:
            writer.end(seq, 5)
    assert recorded < 6000
    assert writer.lost == 6000 - recorded
    first = unpacked(next(read_folder(tmp_path))[1][0])
    assert first.seq == hanging  # type: ignore[union-attr]


def test_one_request_waits_for_a_piece_of_one_segment_at_most(tmp_path: Path) -> None:
    for number in range(20):
        journal_of_the_dead(tmp_path, number, status=500)
    last = journal_of_the_dead(tmp_path, 20)
    writer = new_writer(tmp_path, ME, limit=limit_of(21))
    assert refused(writer) == 20
    assert not last.exists()


def test_what_may_go_is_found_ahead_and_no_request_waits_for_it_or_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of full segments, each of which is many pieces."""
    old = Writer(str(tmp_path), dead(1))
    fields = FIELDS + b"x" * 100
    for _ in range(60_000):
        old.end(old.begin(fields, 1, 2, 3), 5)
    old.close()
    segments = len(list(tmp_path.glob("shop/*.journal")))
    assert segments > 2
    writer = Writer(str(tmp_path), ME, limit=(segments + 1) * SEGMENT_SIZE)
    sizes: list[int] = []
    read = ordinary.bytes_of

    def reading(path: str, size: int, at: int = 0) -> bytes:
        sizes.append(size)
        return read(path, size, at)

    monkeypatch.setattr(ordinary, "bytes_of", reading)
    most = 0
    for _ in range(50_000):
        before = len(sizes)
        assert writer.begin(fields, 1, 2, 3)
        most = max(most, len(sizes) - before)
    assert len(list(tmp_path.glob("shop/*.journal"))) == segments + 1
    assert max(sizes) <= PIECE and most <= 2
    assert 0 < writer.lost < 60_000, "what was recorded and had to give way, and nothing else"


def test_strange_files_are_counted_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "notes").write_bytes(b"x" * MIN_SEGMENT_SIZE)
    (folder / "7-00000000.000001.journal").symlink_to("/etc/passwd")
    (folder / "8-00000000.000001.journal").write_bytes(b"x" * 100)
    os.mkfifo(folder / "9-00000000.000001.journal")
    names = sorted(path.name for path in folder.iterdir())
    assert new_writer(tmp_path, ME, limit=limit_of(1)).begin(FIELDS, 1, 2, 3) == 0
    assert sorted(path.name for path in folder.iterdir()) == names
    assert Path("/etc/passwd").exists()


def test_the_default_is_a_tenth_of_the_file_system_within_bounds(tmp_path: Path) -> None:
    system = os.statvfs(tmp_path)
    tenth = system.f_blocks * system.f_frsize // 10
    assert default_limit(str(tmp_path)) == min(max(tenth, LEAST), MOST)


def test_a_size_that_is_none_is_refused() -> None:
    for text in ("", "0", "-5", "1.5G", "5X", "9" * 400):
        with pytest.raises(ValueError, match="size above 0"):
            parse_size(text)


def test_more_appends_than_one_segment_holds_are_all_read(tmp_path: Path) -> None:
    writer = AppendWriter(str(tmp_path), ME, segment_size=2**40, limit=2**40)
    fields = FIELDS + b"x" * 8000
    numbers = [writer.begin(fields, 1, 2, 3) for _ in range(SEGMENT_LIMIT // 8000 + 200)]
    writer.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("shop/*")) > SEGMENT_LIMIT
    found = list(read_folder(tmp_path))
    assert [reader.ended for reader, _ in found] == [True, False]
    assert [seq for _, records in found for seq in seqs(records)] == numbers


def test_a_process_that_appends_and_becomes_another_program_goes_on_counting(
    tmp_path: Path,
) -> None:
    first = AppendWriter(str(tmp_path), ME)
    second = AppendWriter(str(tmp_path), ME)
    assert second.begin(FIELDS, 1, 2, 3) > first.begin(FIELDS, 1, 2, 3)
    assert segment_of(tmp_path, 2).exists()
