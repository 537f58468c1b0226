"""The places in which requests with slots note that their response is complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standfast.journal.format import (
    ANSWER,
    ANSWER_PLACES,
    MIN_SEGMENT_SIZE,
    REQUEST_SLOTS,
    End,
    pack_header,
    unpack_end,
    unpack_header,
)
from standfast.journal.reader import SegmentReader
from standfast.journal.writer import ANSWER_SHIFT, BEGIN_KIND, Writer, pack_answer
from tests.unit.journal.segments import new_writer, segment_of, seqs


def answer(writer: Writer, seq: int, duration_ns: int, sent: int = 5, status: int = 200) -> None:
    place = seq % REQUEST_SLOTS << ANSWER_SHIFT
    pack_answer(writer.answers, place, duration_ns, sent, status, seq)


def answers_of(path: Path) -> list[End]:
    with SegmentReader(str(path)) as reader:
        found = [unpack_end(body, flags) for _, flags, body in reader.answers()]
    return [end for end in found if end is not None]


def test_an_answer_comes_back_as_an_end_of_a_request_that_runs_on(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    first, other = (writer.begin(b"x", 1, 2, 3, BEGIN_KIND, slot) for slot in (0, 7))
    assert answers_of(segment_of(tmp_path)) == []
    answer(writer, other, 1500, sent=2**64 - 1, status=0)
    answer(writer, first, 2500, sent=12, status=201)
    found = answers_of(segment_of(tmp_path))
    assert [(end.seq, end.duration_ns, end.sent, end.status) for end in found] == [
        (first, 2500, 12, 201),
        (other, 1500, None, None),
    ]
    assert all(end.running and end.cpu_ns is None for end in found)


def test_what_the_places_say_goes_on_in_the_next_segment(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    seq = writer.begin(b"x", 1, 2, 3, BEGIN_KIND, ANSWER_PLACES - 1)
    answer(writer, seq, 1500)
    number = 1
    while not list(tmp_path.glob("*/*.000003.journal")):
        writer.begin(bytes(60_000), 1, 2, 3)
        number += 1
    for segment in (1, 2, 3):
        assert [end.seq for end in answers_of(segment_of(tmp_path, segment))] == [seq]
    with SegmentReader(str(segment_of(tmp_path, 3))) as reader:
        assert seqs(reader.read())[-1] == writer.next_seq - 1


def test_a_place_at_which_the_writer_is_at_work_is_read_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path)
    seq, other = (writer.begin(b"x", 1, 2, 3, BEGIN_KIND, slot) for slot in (0, 1))
    answer(writer, other, 1500)
    read = os.pread

    def pread(fd: int, size: int, offset: int) -> bytes:
        data = read(fd, size, offset)
        answer(writer, seq, 2500)  # as if it were in the middle of that
        return data

    with SegmentReader(str(segment_of(tmp_path))) as reader:
        answer(writer, seq, 7)
        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", pread)
            assert seqs(reader.answers()) == [other]
        assert seqs(reader.answers()) == [seq, other]


@pytest.mark.parametrize("torn", range(0, ANSWER.size, 8))
def test_an_answer_that_a_kill_cut_short_says_nothing(tmp_path: Path, torn: int) -> None:
    """The number comes last: until it is stored, the place has none."""
    writer = new_writer(tmp_path)
    seq = writer.begin(b"x", 1, 2, 3, BEGIN_KIND, 0)
    whole = ANSWER.pack(1500, 5, 200, seq)
    writer.answers[: ANSWER.size] = whole[:torn] + bytes(ANSWER.size - torn)
    assert answers_of(segment_of(tmp_path)) == []


def test_places_that_are_cut_off_or_filled_with_anything_are_read_as_far_as_they_go(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path)
    writer.begin(b"x", 1, 2, 3, BEGIN_KIND, 0)
    path = segment_of(tmp_path)
    data = bytearray(path.read_bytes())
    header = unpack_header(bytes(data))
    assert header is not None and header.answers == ANSWER_PLACES
    places = slice(header.size, header.records_at)
    data[places] = b"\xff" * (header.records_at - header.size)
    path.write_bytes(data)
    assert {end.status for end in answers_of(path)} == {65535}
    path.write_bytes(data[: header.size + 3 * ANSWER.size + 5])
    assert len(answers_of(path)) == 3


def test_more_places_than_there_are_slots_make_no_sound_header(tmp_path: Path) -> None:
    new_writer(tmp_path).begin(b"x", 1, 2, 3)
    header = unpack_header(segment_of(tmp_path).read_bytes())
    assert header is not None
    too_many = pack_header(header._replace(answers=REQUEST_SLOTS + 1))
    assert unpack_header(too_many + bytes(MIN_SEGMENT_SIZE)) is None
