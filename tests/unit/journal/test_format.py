from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.files import app_folder, parse_segment_name, segment_name, uid_of
from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    CUT,
    CUT_MARK,
    END_FIXED,
    ERROR_LIMIT,
    EVENT_STREAM,
    EXIT_FIXED,
    FIELD_LIMIT,
    HEAD,
    HEADER_LIMIT,
    LOST_OFFSET,
    PREAMBLE,
    PROGRESS_FIXED,
    RECORD_LIMIT,
    REQUEST_SLOTS,
    SIGNAL_FIXED,
    UNKNOWN,
    UNRECORDED_EXIT,
    URI_LIMIT,
    WEBSOCKET,
    WORKER_EXIT,
    Header,
    cut_text,
    pack_fields,
    pack_header,
    pack_options,
    pack_record,
    unpack_begin,
    unpack_end,
    unpack_exit,
    unpack_header,
    unpack_options,
    unpack_progress,
    unpack_signal,
)
from standfast.journal.identity import Identity
from tests.unit.journal.segments import WORKER

HEADER = Header(
    **WORKER._asdict(),
    segment=1,
    wall_ns=1_795_424_000_000_000_000,
    mono_ns=9_153_000_000_000,
    capacity=4 * 1024 * 1024,
)

u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
i32 = st.integers(-(2**31), 2**31 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
#: What a name can hold: anything but a zero byte and half a surrogate pair.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
headers = st.builds(
    Header,
    app=names,
    host=names,
    pid=u32,
    start_ticks=u64,
    boot_id=names,
    pid_namespace=u64,
    segment=u32,
    wall_ns=i64,
    mono_ns=i64,
    capacity=u64,
    server=names,
    revision=names,
    answers=st.integers(0, REQUEST_SLOTS),
    lost=u64,
)


@given(headers)
def test_a_header_comes_back_as_it_was_packed(header: Header) -> None:
    packed = pack_header(header)
    assert len(packed) % 8 == 0
    assert unpack_header(packed + b"and then records") == header._replace(size=len(packed))


@given(st.text())
def test_a_name_that_is_no_unicode_still_makes_a_header(app: str) -> None:
    assert unpack_header(pack_header(HEADER._replace(app=app))) is not None


def test_a_header_over_its_limit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="the header holds at most 8192 bytes, not 1"):
        pack_header(HEADER._replace(revision="x" * 10_000))


def test_no_damaged_bit_of_a_header_goes_unnoticed_but_in_the_count_of_lost_requests() -> None:
    packed = pack_header(HEADER)
    for place in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[place // 8] ^= 1 << place % 8
        found = unpack_header(bytes(damaged) + bytes(HEADER_LIMIT))
        if LOST_OFFSET <= place // 8 < LOST_OFFSET + 8:
            assert found == HEADER._replace(size=len(packed), lost=1 << (place - LOST_OFFSET * 8))
        else:
            assert found is None, place


@pytest.mark.parametrize("size", [0, 7, 8, 24, 71, 72, 73, 8191, 8192, 8200, 65528, 65535])
def test_a_header_that_lies_about_its_size_is_none(size: int) -> None:
    packed = bytearray(pack_header(HEADER))
    packed[10:12] = size.to_bytes(2, "little")
    assert unpack_header(bytes(packed) + bytes(100_000)) is None


def test_a_header_cut_short_anywhere_is_none() -> None:
    packed = pack_header(HEADER)
    assert [unpack_header(packed[:size]) for size in range(len(packed))] == [None] * len(packed)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_header(data: bytes) -> None:
    unpack_header(data)
    assert unpack_header(PREAMBLE.pack(b"SFJOURN\x01", 1, 80, 0, 0) + data) is None


fields = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(0, 12_000).map(lambda size: b"ab\xc3\xa9\0"[: size % 6] + b"x" * size),
)


@given(st.tuples(*[fields] * 6), u64, i64, i64, u64, st.sampled_from([0, WEBSOCKET]))
def test_any_text_comes_back_from_a_begin_record_or_is_cut_and_marked(
    texts: tuple[bytes, bytes, bytes, bytes, bytes, bytes],
    seq: int,
    wall_ns: int,
    mono_ns: int,
    thread: int,
    flags: int,
) -> None:
    packed, cut = pack_fields(*texts)
    body = BEGIN_FIXED.pack(seq, wall_ns, mono_ns, thread) + packed
    assert len(pack_record(BEGIN, body)) <= RECORD_LIMIT
    found = unpack_begin(body, flags | CUT * cut)
    assert found is not None
    kind = "websocket" if flags else "http"
    assert found[:5] == (seq, wall_ns, mono_ns, thread, kind)
    anything_cut = False
    limits = (FIELD_LIMIT, FIELD_LIMIT, URI_LIMIT, FIELD_LIMIT, FIELD_LIMIT, FIELD_LIMIT)
    for sent, limit, got in zip(texts, limits, found[5:11], strict=True):
        plain = sent.replace(b"\0", b"%00")
        if len(plain) <= limit:
            assert got == plain.decode("utf-8", "backslashreplace")
        else:
            anything_cut = True
            kept = plain[: limit - 3].decode("utf-8", "backslashreplace")
            assert got == kept + CUT_MARK
    assert found.cut is anything_cut is cut


@given(st.binary(max_size=200), st.integers(3, 100))
def test_a_cut_text_keeps_to_its_limit_and_says_that_it_was_cut(data: bytes, limit: int) -> None:
    cut = cut_text(data, limit)
    assert len(cut) <= limit
    assert cut == data or (len(data) > limit and cut.endswith(CUT_MARK.encode()))


@given(u64, u64, u64, u64, u16, u64, st.binary(max_size=ERROR_LIMIT), st.integers(0, 31))
def test_an_end_record_comes_back_as_it_was_packed(
    seq: int, duration_ns: int, cpu_ns: int, sent: int, status: int, background_ns: int,
    error: bytes, flags: int,
) -> None:  # fmt: skip
    fixed = END_FIXED.pack(seq, duration_ns, cpu_ns, sent, status, background_ns)
    found = unpack_end(fixed + error, flags)
    assert found is not None
    assert (found.seq, found.duration_ns, found.background_ns) == (seq, duration_ns, background_ns)
    assert found.cpu_ns == (None if cpu_ns == UNKNOWN else cpu_ns)
    assert found.sent == (None if sent == UNKNOWN else sent)
    assert found.status == (status or None)
    assert found.error == error.decode("utf-8", "backslashreplace")
    closed_how = (found.cut, found.running, found.aborted, found.cancelled)
    assert closed_how == (flags & 1 > 0, flags & 4 > 0, flags & 8 > 0, flags & 16 > 0)


@given(u64, u64, u64)
def test_progress_comes_back_as_it_was_packed(seq: int, age: int, sent: int) -> None:
    found = unpack_progress(PROGRESS_FIXED.pack(seq, age, sent))
    assert found == (seq, age, None if sent == UNKNOWN else sent)


@pytest.mark.parametrize(
    ("flags", "kind", "event_stream"),
    [(0, "http", False), (EVENT_STREAM, "http", True), (WEBSOCKET | CUT, "websocket", False)],
)
def test_a_begin_record_says_what_the_client_asked_for(
    flags: int, kind: str, event_stream: bool
) -> None:
    begin = unpack_begin(BEGIN_FIXED.pack(1, 0, 0, 0), flags)
    assert begin and (begin.kind, begin.event_stream) == (kind, event_stream)


@given(st.binary(max_size=60), st.integers(0, 255))
def test_a_body_too_short_for_its_type_is_none_and_any_other_is_a_record(
    body: bytes, flags: int
) -> None:
    assert (unpack_begin(body, flags) is None) == (len(body) < 32)
    assert (unpack_end(body, flags) is None) == (len(body) < 42)
    assert (unpack_exit(body, flags) is None) == (len(body) < 24)
    assert (unpack_signal(body) is None) == (len(body) < 32)
    assert (unpack_progress(body) is None) == (len(body) < 24)


@given(u64, u64, st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255), u64)
def test_a_masters_word_comes_back_as_it_was_packed(
    wall_ns: int, ticks: int, pid: int, signal: int, reason: int, timeout_ns: int
) -> None:
    wall_ns -= 2**63
    body = SIGNAL_FIXED.pack(wall_ns, ticks, pid, signal, reason, timeout_ns)
    assert unpack_signal(body) == (wall_ns, ticks, pid, signal, reason, timeout_ns or None)
    body = EXIT_FIXED.pack(wall_ns, ticks, pid, -signal)
    flags = bool(reason & WORKER_EXIT), not reason & UNRECORDED_EXIT
    assert unpack_exit(body, reason) == (wall_ns, ticks, pid, -signal, *flags)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.dictionaries(st.text("abc-é", min_size=1), st.text("xyz 1"), max_size=5),
    st.binary(max_size=100),
)
def test_options_come_back_as_they_were_packed_and_any_bytes_are_read(
    wall_ns: int, options: dict[str, str], damage: bytes
) -> None:
    assert unpack_options(pack_options(wall_ns, options)) == (wall_ns, options)
    assert (unpack_options(damage) is None) == (len(damage) < 8)


def test_options_over_the_limit_are_left_out() -> None:
    assert unpack_options(pack_options(7, {"name": "x" * 10_000})) == (7, {})


@given(st.integers(1, 255), st.binary(max_size=100), st.integers(0, 255))
def test_a_record_is_aligned_and_no_damaged_bit_of_it_goes_unnoticed(
    kind: int, body: bytes, flags: int
) -> None:
    record = pack_record(kind, body, flags)
    size, kind_and_flags, checksum = HEAD.unpack_from(record)
    assert (size, kind_and_flags) == (8 + len(body), kind | flags << 8)
    assert len(record) == (size + 7) & -8 and not any(record[size:])
    changed = pack_record(kind ^ 1, body, flags)
    assert HEAD.unpack_from(changed)[2] != checksum
    assert HEAD.unpack_from(pack_record(kind, body, flags ^ 128))[2] != checksum


def test_a_body_that_fits_no_record_is_refused() -> None:
    assert len(pack_record(BEGIN, bytes(RECORD_LIMIT - 8))) == 65536
    with pytest.raises(ValueError, match="at most 65527 bytes, not 65528"):
        pack_record(BEGIN, bytes(RECORD_LIMIT - 7))


@given(st.text(), i32.filter(lambda pid: pid >= 0), u64, st.integers(1, 10**7))
def test_a_segment_has_a_name_that_its_reader_understands(
    host: str, pid: int, ticks: int, number: int
) -> None:
    who = Identity("shop", host, pid, ticks, "boot", 0)
    uid = uid_of(who)
    assert re.fullmatch(rf"{pid}-[0-9a-f]{{8}}", uid)
    assert uid != uid_of(who._replace(start_ticks=ticks ^ 1))
    assert uid != uid_of(who._replace(boot_id="another"))
    assert parse_segment_name(segment_name(uid, number)) == (uid, number)


@pytest.mark.parametrize(
    "name",
    ["", "1-0123abcd.journal", "1-0123abcd.00001.journal", "1-0123ABCD.000001.journal",
     ".1-0123abcd.000001.journal.new", "1-0123abcd.000001.journal\n", "x-0123abcd.000001.journal",
     "1-0123abcd.fault"],
)  # fmt: skip
def test_any_other_file_name_is_no_segment(name: str) -> None:
    assert parse_segment_name(name) is None


@given(st.text())
def test_an_application_of_any_name_has_one_folder_inside_the_journal(app: str) -> None:
    folder = app_folder("/journal", app)
    base = folder.removeprefix("/journal/")
    assert base and "/" not in base and "\0" not in base and not base.startswith(".")
    assert len(base) <= 200 and base.isascii()
