"""Reading a sound segment: piece by piece, cut short, beside a writer, and what is no segment."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from standfast.journal.format import BEGIN, END, SEGMENT_LIMIT, pack_record
from standfast.journal.reader import Record, SegmentReader
from tests.unit.journal.segments import (
    Reading,
    begin,
    header_of,
    new_writer,
    read,
    segment_of,
    seqs,
    write_segment,
)


def many_records(count: int = 400, seed: int = 7) -> list[bytes]:
    """Records of all sizes up to the largest, some 1.5 MiB of them."""
    chance = random.Random(seed)
    sizes = [*chance.choices(range(8000), k=count - 2), 65_450, 65_461]
    chance.shuffle(sizes)
    return [begin(seq, padding=size) for seq, size in enumerate(sizes, 1)]


def test_a_segment_read_in_small_pieces_gives_what_it_gives_at_once(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    records = many_records()
    write_segment(path, records)
    assert path.stat().st_size > 1_000_000
    whole = read(path, limit=64 * 1024 * 1024)
    assert seqs(whole.records) == list(range(1, 401))
    assert whole == read(path, limit=1) == read(path, limit=300_000)
    assert whole == read(path, final=False) == read(path, limit=1, final=False)


def test_reading_goes_on_from_any_offset_that_reading_has_come_to(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    starts = write_segment(path, many_records())
    for number, start in enumerate(starts):
        assert seqs(read(path, offset=start).records) == list(range(number + 1, 401))
    with SegmentReader(str(path)) as reader:
        seen: list[Record] = []
        while some := reader.read(1):
            assert reader.offset in starts
            seen += some
            assert read(path, offset=reader.offset).records == read(path).records[len(seen) :]
    assert read(path, offset=starts[-1] + 8) == Reading([], 0, 0)
    assert read(path, offset=2**50) == Reading([], 0, 0)
    assert read(path, offset=-1) == read(path)


def test_a_segment_cut_short_at_any_byte_gives_the_records_that_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    records = [begin(seq, b"/" * seq, padding=seq * 5 % 17) for seq in range(1, 13)]
    records.insert(4, pack_record(END, (3).to_bytes(8, "little") + bytes(31)))
    starts = write_segment(path, records)
    content = path.read_bytes()
    everything = read(path).records
    # A record is whole when its body is; the zeros behind it say nothing.
    ends = [
        start + int.from_bytes(record[:2], "little")
        for start, record in zip(starts, records, strict=False)
    ]
    cut = tmp_path / "cut"
    for size in range(len(content) + 1):
        cut.write_bytes(content[:size])
        whole = sum(end <= size for end in ends) if size >= starts[0] else 0
        for final in (False, True):
            found = read(cut, final=final)
            assert found.records == everything[:whole], size
            if final and size > starts[0]:
                torn = max(size - starts[whole], 0)
                left = len(content[starts[whole] : size].rstrip(b"\0")) if torn else 0
                assert (found.damaged, found.damaged_bytes) == (left > 0, left), size
            else:
                assert (found.damaged, found.damaged_bytes) == (0, 0), size


def test_a_mapped_segment_cut_short_gives_the_records_that_are_whole(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    for _ in range(40):
        writer.end(writer.begin(b"client\0GET\0/path\0\0\0", 1, 2, 3), 4, 200)
    path = segment_of(tmp_path)
    everything = read(path).records
    start, size = len(header_of(path)), 40 * (64 + 48)
    assert len(everything) == 80
    for cut in range(start, start + size, 3):
        os.truncate(path, max(start + size - (cut - start), 0))
        found = read(path).records
        assert found == everything[: len(found)]
    assert found == everything[:0]


def test_an_append_seen_half_way_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    records = [begin(seq, padding=seq * 3) for seq in range(1, 40)]
    write_segment(path, records)
    content = path.read_bytes()
    start = len(header_of(path))
    path.write_bytes(content[:start])
    seen: list[Record] = []
    with SegmentReader(str(path)) as reader, path.open("ab", buffering=0) as file:
        for place in range(start, len(content)):
            file.write(content[place : place + 1])
            seen += reader.read()
        assert seqs(seen) == list(range(1, 40))
        assert (reader.damaged, reader.damaged_bytes) == (0, 0)


def test_a_copy_made_while_the_writer_ran_loses_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel copies page by page, and the writer goes on meanwhile: a copy can lack the head
    of a record, which was not written yet, and hold the next records, which were by then."""
    path = tmp_path / "segment"
    starts = write_segment(path, [begin(seq) for seq in range(1, 3001)], tail=4096)
    lacking = starts[5:3000:450]
    pread = os.pread

    def pread_beside_a_writer(fd: int, size: int, offset: int) -> bytes:
        data = bytearray(pread(fd, size, offset))
        if lacking and size > 8 and offset < lacking[0] < offset + size:
            missing = lacking.pop(0) - offset
            data[missing : missing + 8] = bytes(8)
        return bytes(data)

    with SegmentReader(str(path)) as reader:
        monkeypatch.setattr(os, "pread", pread_beside_a_writer)
        seen: list[Record] = []
        while some := reader.read():
            seen += some
        assert lacking == [], "not every copy was made to lack something"
        assert seqs(seen) == list(range(1, 3001))
        assert reader.damaged == 0


WRITE = """
import sys
from tests.unit.journal.segments import new_writer
writer = new_writer(__import__("pathlib").Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    writer.begin(b"192.0.2.7\\0GET\\0/order/%d\\0\\0\\0" % number + b"x" * (number % 300), 1, 2, 3)
"""


def test_a_reader_beside_a_busy_writer_sees_every_record_once_and_in_order(tmp_path: Path) -> None:
    count = 60_000
    process = subprocess.Popen([sys.executable, "-c", WRITE, tmp_path, str(count)])
    until = time.monotonic() + 60
    seen: list[int] = []
    number = 0
    try:
        while len(seen) < count:
            number += 1
            while not (found := list(tmp_path.glob(f"*/*.{number:06d}.journal"))):
                assert time.monotonic() < until, f"{len(seen)} records, and no segment {number}"
            with SegmentReader(str(found[0])) as reader:
                while not reader.ended and len(seen) < count:
                    assert time.monotonic() < until, f"{len(seen)} records in {number} segments"
                    seen += seqs(reader.read(1))
                assert reader.damaged == 0
    finally:
        process.kill()
        process.wait()
    assert seen == list(range(1, count + 1))
    assert number > 50, "many segments were to be read"


def test_a_reader_beside_a_writer_in_another_thread_sees_every_record_once(tmp_path: Path) -> None:
    writer = new_writer(tmp_path, segment_size=8 * 1024 * 1024)
    writer.begin(b"", 0, 0, 0)
    count = 30_000
    thread = threading.Thread(
        target=lambda: [writer.begin(b"/" * 80, 0, 0, 0) for _ in range(count - 1)]
    )
    seen: list[Record] = []
    with SegmentReader(str(segment_of(tmp_path))) as reader:
        thread.start()
        while thread.is_alive():
            seen += reader.read(1)
        while some := reader.read():
            seen += some
        assert seqs(seen) == list(range(1, count + 1))
        assert reader.damaged == 0


def test_what_a_writer_has_not_reached_yet_is_no_damage(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.begin(b"", 0, 0, 0)
    with SegmentReader(str(segment_of(tmp_path))) as reader:
        assert len(reader.read()) == 1
        assert reader.read() == []
        writer.begin(b"", 0, 0, 0)
        assert len(reader.read()) == 1
        assert reader.read(final=True) == []
        assert reader.ended and reader.damaged == 0


def test_a_type_that_this_version_does_not_know_is_given_and_does_not_hide_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "segment"
    write_segment(path, [pack_record(0x42, b"from a later version", 3), begin(1)])
    (unknown, known), damaged, _ = read(path)
    assert unknown == (0x42, 3, b"from a later version")
    assert (known[0], damaged) == (BEGIN, 0)


def test_the_count_of_lost_requests_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    write_segment(path, [])
    with SegmentReader(str(path)) as reader, path.open("r+b") as file:
        assert reader.lost() == 0
        file.seek(16)
        file.write((77).to_bytes(8, "little"))
        file.flush()
        assert reader.lost() == 77
        os.truncate(path, 10)
        assert reader.lost() == 0


def test_a_file_without_a_sound_header_gives_nothing_and_is_no_error(tmp_path: Path) -> None:
    for content in (b"", b"SFJOURN\x01", b"\0" * 5000, b"#!/bin/sh\n" * 1000, os.urandom(9000)):
        path = tmp_path / "segment"
        path.write_bytes(content)
        with SegmentReader(str(path), 300) as reader:
            assert reader.header is None
            assert reader.read() == reader.read(final=True) == []
            assert reader.damaged == 0


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    segment, link = tmp_path / "segment", tmp_path / "link"
    write_segment(segment, [begin(1)])
    link.symlink_to(segment)
    os.mkfifo(tmp_path / "fifo")
    # A socket's path is short: there is a limit to its length.
    here = os.open(tmp_path, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        before = open_files()
        for name in ("link", "fifo", "socket", ".", "missing"):
            with pytest.raises(OSError):
                SegmentReader(str(tmp_path / name))
        with pytest.raises(OSError):
            SegmentReader("/dev/null")
        assert open_files() == before, "a refused file stays open"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_endless_sparse_file_costs_no_more_than_a_segment_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "segment"
    write_segment(path, [begin(1), begin(2)])
    try:
        os.truncate(path, 2**40)
    except OSError as error:
        pytest.skip(f"this file system holds no file of 1 TiB: {error}")
    pread, taken = os.pread, 0

    def counted(fd: int, size: int, offset: int) -> bytes:
        nonlocal taken
        data = pread(fd, size, offset)
        taken += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    assert seqs(read(path).records) == [1, 2]
    assert taken < SEGMENT_LIMIT * 1.2


def test_what_lies_behind_the_limit_of_a_segment_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    write_segment(path, [begin(1)])
    with path.open("r+b") as file:
        file.seek(SEGMENT_LIMIT - 16)
        file.write(begin(2, padding=100))
        file.write(begin(3))
    found = read(path)
    assert seqs(found.records) == [1]
    assert found.damaged == 1
    assert found.damaged_bytes >= path.stat().st_size - SEGMENT_LIMIT
    assert seqs(read(path, final=False).records) == [1]
