"""Reading what is damaged or was made to do harm: whole records come through, the rest is counted,
and the work has a bound."""

from __future__ import annotations

import os
import random
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal import reader as reader_module
from standfast.journal.format import BEGIN, END, EXIT, ROLL, SEGMENT_LIMIT, pack_record
from standfast.journal.reader import SegmentReader
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

RECORDS = [begin(seq, b"/" * (seq * 7 % 90)) for seq in range(1, 41)]
damages = st.lists(
    st.tuples(
        st.integers(0, sum(map(len, RECORDS)) - 1),
        st.one_of(st.binary(min_size=1, max_size=300), st.integers(1, 2000).map(bytes)),
    ),
    min_size=1,
    max_size=6,
)


@given(damages, st.sampled_from([0, 10_000]))
def test_damage_anywhere_costs_the_records_it_hit_and_is_counted(
    damage: list[tuple[int, bytes]], tail: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "segment")
        starts = write_segment(path, RECORDS, tail=tail)
        everything = read(path).records
        content = bytearray(path.read_bytes())
        size = len(content)
        for place, junk in damage:
            content[starts[0] + place : starts[0] + place + len(junk)] = junk
        del content[size:]
        path.write_bytes(content)
        whole = [
            content[start : start + record_size(record)] == record[: record_size(record)]
            for start, record in zip(starts, RECORDS, strict=False)
        ]
        found = read(path)
        assert found.records == [one for one, sound in zip(everything, whole, strict=True) if sound]
        assert found[1:] == stretches(bytes(content), starts, whole)
        for limit in (1, 5000):
            assert read(path, limit=limit) == found
        # While the worker lives, what is damaged at the end may still be on its way.
        so_far = read(path, final=False).records
        assert so_far == found.records[: len(so_far)]


def record_size(record: bytes) -> int:
    """Without the zeros behind the body: these say nothing."""
    return int.from_bytes(record[:2], "little")


def stretches(content: bytes, starts: list[int], whole: list[bool]) -> tuple[int, int]:
    """How many stretches without a whole record there are, and of how many bytes in all.

    The last one ends where nothing but zeros follows.
    """
    count = size = 0
    since = None
    for start, sound in zip(starts, [*whole, False], strict=True):
        if sound and since is not None:
            count, size, since = count + 1, size + start - since, None
        elif not sound and since is None:
            since = start
    if since is not None:
        left = len(content[since:].rstrip(b"\0"))
        count, size = count + (left > 0), size + left
    return count, size


@given(st.binary(max_size=4000), st.booleans())
def test_random_bytes_behind_a_header_do_no_harm(junk: bytes, final: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "segment")
        write_segment(path, [junk])
        found = read(path, final=final)
        assert not set(seqs(found.records)) & set(range(1, 41))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4096, 65528, 65535])
def test_a_record_that_lies_about_its_size_does_not_hide_the_next(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "segment"
    lying = bytearray(begin(2, padding=500))
    lying[:2] = size.to_bytes(2, "little")
    write_segment(path, [begin(1), bytes(lying), begin(3)], tail=70_000)
    assert seqs(read(path).records) == [1, 3]
    assert seqs(read(path, final=False).records) == [1, 3]
    assert read(path).damaged == 1


@pytest.mark.parametrize("bit", range(64))
def test_no_damaged_bit_of_a_head_ends_the_segment_or_changes_what_a_record_says(
    tmp_path: Path, bit: int
) -> None:
    path = tmp_path / "segment"
    for kind in (BEGIN, END, EXIT):
        damaged = bytearray(pack_record(kind, (2).to_bytes(8, "little") + bytes(40)))
        damaged[bit // 8] ^= 1 << bit % 8
        write_segment(path, [begin(1), bytes(damaged), begin(3)])
        assert seqs(read(path).records) == [1, 3]


def test_pages_of_zeros_after_a_power_failure_are_passed_when_nobody_writes_any_more(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path, segment_size=4 * 1024 * 1024)
    for number in range(12_000):
        writer.begin(b"192.0.2.7\0GET\0/order/%d\0\0\0" % number, 1, 2, 3)
    path = segment_of(tmp_path)
    before = read(path)
    page = 4096
    # The second hole is larger than what is read at once.
    for first, pages in ((3, 2), (20, 70), (200, 1)):
        with path.open("r+b") as file:
            file.seek(first * page)
            file.write(bytes(pages * page))
    found = read(path, limit=1)
    assert found == read(path)
    kept = set(found.records)
    assert found.records == [record for record in before.records if record in kept]
    missing = [record for record in before.records if record not in kept]
    lost_bytes = sum(8 + len(body) + 7 & -8 for _, _, body in missing)
    assert (found.damaged, found.damaged_bytes) == (3, lost_bytes)
    assert 73 * page <= lost_bytes < 73 * page + 3 * 200


def test_a_hole_in_the_journal_of_a_living_worker_is_waited_at(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    hole = bytes(len(begin(3)))
    write_segment(path, [begin(1), begin(2), hole, begin(4)])
    assert read(path, final=False) == Reading(read(path).records[:2], 0, 0)
    assert seqs(read(path).records) == [1, 2, 4]
    assert read(path)[1:] == (1, len(hole))


def test_a_page_of_random_bytes_hides_nothing_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    starts = write_segment(path, [begin(seq, padding=100) for seq in range(1, 7001)])
    content = bytearray(path.read_bytes())
    chance = random.Random(3)
    hits = [(300, 4096), (900, 65536), (3000, 300_000)]
    for first, size in hits:
        content[starts[first] : starts[first] + size] = chance.randbytes(size)
    path.write_bytes(content)
    damaged = {
        seq
        for seq, start in enumerate(starts[:-1], 1)
        for first, size in hits
        if starts[first] - 150 < start < starts[first] + size
    }
    came = seqs(read(path).records)
    assert set(range(1, 7001)) - set(came) <= damaged
    assert came == sorted(came)
    assert read(path).damaged == 3


def test_damage_in_the_journal_of_a_living_worker_is_passed_when_more_has_come(
    tmp_path: Path,
) -> None:
    path = tmp_path / "segment"
    broken = begin(2).replace(b"GET", b"POT")
    write_segment(path, [begin(1), broken])
    with SegmentReader(str(path)) as reader, path.open("ab") as file:
        assert seqs(reader.read()) == [1]
        assert reader.read() == []
        assert reader.damaged == 0
        file.write(begin(3))
        file.flush()
        assert seqs(reader.read()) == [3]
        assert (reader.damaged, reader.damaged_bytes) == (1, len(broken))


def test_a_client_who_sends_a_record_within_a_request_writes_none(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    smuggled = bytes(4) + pack_record(END, (1).to_bytes(8, "little") + bytes(26))
    write_segment(path, [begin(1, smuggled), begin(2)])
    assert seqs(read(path).records) == [1, 2]
    assert read(path).damaged == 0


HEAD = struct.Struct("<HHI")
CRAFTED = {
    "each word a head of the largest record": HEAD.pack(65535, BEGIN, 1),
    "each word a head that reaches to its end": HEAD.pack(32768, END, 1),
    "each word an empty record": HEAD.pack(8, 0x42, 0x42 << 16),
    "each word a head of no size": HEAD.pack(0, BEGIN, 1),
    "each byte a type": bytes([BEGIN]) * 8,
    "each word one bit": b"\0\0\0\0\0\0\0\1",
}


@pytest.mark.parametrize("final", [False, True], ids=["living", "dead"])
@pytest.mark.parametrize("word", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_segment_costs_a_bounded_amount_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: bytes, final: bool
) -> None:
    path = tmp_path / "segment"
    write_segment(path, [word * (2 * 1024 * 1024 // 8)])
    checked = 0

    def counted(data: bytes, start: int) -> int:
        nonlocal checked
        checked += len(data)
        return zlib.adler32(data, start)

    monkeypatch.setattr(reader_module, "_checksum", counted)
    with SegmentReader(str(path)) as reader:
        readings = 0
        while not reader.ended and readings < 50:
            readings += 1
            if not reader.read(final=final) and not final:
                break
    assert readings < 50, "reading does not come to an end"
    # 4 MiB of this are read within a second, and a whole file of it within a few.
    assert checked < 150 * path.stat().st_size


def test_a_reading_takes_no_more_memory_than_it_was_allowed(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    write_segment(path, [pack_record(0x42, b"") * 100_000])
    with SegmentReader(str(path)) as reader:
        assert len(reader.read(1)) <= 2 * 65535 // 8
    os.truncate(path, 2 * SEGMENT_LIMIT)
    assert len(read(path).records) == 100_000


def test_a_roll_that_was_smuggled_in_ends_one_segment_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    write_segment(path, [begin(1), pack_record(ROLL, b""), begin(2)])
    assert read(path) == Reading(read(path).records, 0, 0)
    assert seqs(read(path).records) == [1]


def test_the_header_alone_survives_as_no_records(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    write_segment(path, RECORDS)
    os.truncate(path, len(header_of(path)))
    assert read(path) == Reading([], 0, 0)


def test_the_same_records_twice_are_given_twice(tmp_path: Path) -> None:
    """The reader knows no requests: what a number means twice is for the watcher to say."""
    path = tmp_path / "segment"
    write_segment(path, [*RECORDS[:3], *RECORDS[:3]])
    assert seqs(read(path).records) == [1, 2, 3, 1, 2, 3]
