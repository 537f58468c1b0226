"""What is written is read: by the mapped writer, by appends, and by the recorder itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.append import AppendWriter
from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    CUT,
    END,
    END_FIXED,
    ERROR_LIMIT,
    EXIT,
    EXIT_FIXED,
    FIELD_LIMIT,
    SIGNAL,
    SIGNAL_FIXED,
    UNKNOWN,
    URI_LIMIT,
    Begin,
    pack_fields,
)
from standfast.journal.reader import Record
from standfast.journal.writer import Writer
from standfast.wsgi import Recorder
from tests.unit.journal.segments import (
    WORKER,
    header_of,
    new_writer,
    read,
    read_folder,
    segment_of,
    unpacked,
)

u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
flags = st.integers(0, 255)


class Started(NamedTuple):
    fields: bytes
    wall_ns: int
    mono_ns: int
    thread: int
    flags: int


class Ended(NamedTuple):
    seq: int
    duration_ns: int
    status: int
    sent: int
    cpu_ns: int
    error: bytes
    flags: int
    background_ns: int


class Died(NamedTuple):
    pid: int
    start_ticks: int
    code: int
    wall_ns: int
    flags: int = 0


class Signalled(NamedTuple):
    pid: int
    start_ticks: int
    signal: int
    reason: int
    timeout_ns: int
    wall_ns: int


texts = st.one_of(
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(0, 9000).map(lambda size: b"\xff" * size),
)
steps = st.lists(
    st.one_of(
        st.builds(
            Started,
            fields=st.tuples(*[texts] * 6).map(lambda six: pack_fields(*six)[0]),
            wall_ns=i64,
            mono_ns=i64,
            thread=u64,
            flags=flags,
        ),
        st.builds(
            Ended,
            seq=u64,
            duration_ns=u64,
            status=st.integers(0, 65535),
            sent=u64,
            cpu_ns=u64,
            error=st.binary(max_size=ERROR_LIMIT),
            flags=flags,
            background_ns=u64,
        ),
        st.builds(
            Died,
            pid=st.integers(0, 2**32 - 1),
            start_ticks=u64,
            code=st.integers(-(2**31), 2**31 - 1),
            wall_ns=i64,
            flags=st.sampled_from([0, 0x20, 0x60]),
        ),
        st.builds(
            Signalled,
            pid=st.integers(0, 2**32 - 1),
            start_ticks=u64,
            signal=st.integers(0, 255),
            reason=st.integers(0, 255),
            timeout_ns=u64,
            wall_ns=i64,
        ),
    ),
    max_size=12,
)
Step = Started | Ended | Died | Signalled


def expected(written: list[Step]) -> list[Record]:
    """The records that the steps are to leave."""
    records: list[Record] = []
    seq = 0
    for step in written:
        if isinstance(step, Started):
            seq += 1
            fixed = BEGIN_FIXED.pack(seq, step.wall_ns, step.mono_ns, step.thread)
            records.append((BEGIN, step.flags, fixed + step.fields))
        elif isinstance(step, Ended):
            values = (
                *(step.seq, step.duration_ns, step.cpu_ns, step.sent, step.status),
                step.background_ns,
            )
            records.append((END, step.flags, END_FIXED.pack(*values) + step.error))
        elif isinstance(step, Died):
            body = EXIT_FIXED.pack(step.wall_ns, step.start_ticks, step.pid, step.code)
            records.append((EXIT, step.flags, body))
        else:
            told = (step.wall_ns, step.start_ticks, step.pid, *step[2:5])
            records.append((SIGNAL, 0, SIGNAL_FIXED.pack(*told)))
    return records


def write_mapped(journal: Path, written: list[Step]) -> None:
    writer = new_writer(journal, segment_size=1024 * 1024)
    begun = 0
    for step in written:
        if isinstance(step, Started):
            begun += 1
            kind = BEGIN << 16 | step.flags << 24
            assert writer.begin(*step[:4], kind) == begun
        elif isinstance(step, Ended):
            writer.end(*step[:6], END << 16 | step.flags << 24, step.background_ns)
        elif isinstance(step, Died):
            writer.exit(*step)
        else:
            writer.signal(*step)
    writer.close()
    assert writer.next_seq == begun + 1
    assert (writer.lost, writer.error) == (0, None)


def append(journal: Path, written: list[Step]) -> None:
    writer = AppendWriter(str(journal), WORKER)
    for step in written:
        if isinstance(step, Started):
            writer.begin(*step)
        elif isinstance(step, Ended):
            writer.end(*step)
        elif isinstance(step, Died):
            writer.exit(*step)
        else:
            writer.signal(*step)
    writer.close()


WAYS = [pytest.param(write_mapped, id="mapped"), pytest.param(append, id="append")]


@pytest.mark.parametrize("write", WAYS)
@given(written=steps)
def test_what_was_written_is_read_back_in_order(
    write: Callable[[Path, list[Step]], None], written: list[Step]
) -> None:
    with _folder() as journal:
        write(journal, written)
        if write is write_mapped and not written:
            assert not list(journal.iterdir()), "nothing was to be written, so nothing is made"
        else:
            assert read(segment_of(journal)) == (expected(written), 0, 0)


@given(steps.filter(bool))
def test_both_ways_write_the_same_bytes(written: list[Step]) -> None:
    with _folder() as mapped, _folder() as appended:
        write_mapped(mapped, written)
        append(appended, written)
        one, other = segment_of(mapped), segment_of(appended)
        assert one.name == other.name
        records = other.read_bytes()[len(header_of(other)) :]
        mapped_bytes = one.read_bytes()[len(header_of(one)) :]
        assert mapped_bytes[: len(records)] == records
        assert not any(mapped_bytes[len(records) :])


@pytest.mark.parametrize("write", WAYS)
def test_the_header_says_who_writes(
    tmp_path: Path, write: Callable[[Path, list[Step]], None]
) -> None:
    write(tmp_path, [Died(1, 2, -9, 3)])
    ((reader, _),) = read_folder(tmp_path)
    header = reader.header
    assert header is not None
    assert [getattr(header, name) for name in WORKER._fields] == list(WORKER)
    assert (header.segment, header.lost) == (1, 0)
    assert header.capacity == (1024 * 1024 if write is write_mapped else 0)
    assert header.wall_ns > 1_700_000_000_000_000_000 and header.mono_ns > 0


def test_only_the_owner_may_read_what_clients_sent(tmp_path: Path) -> None:
    write_mapped(tmp_path / "new", [Died(1, 2, 3, 4)])
    path = segment_of(tmp_path / "new")
    modes = [oct(place.stat().st_mode & 0o777) for place in (path, path.parent)]
    assert modes == ["0o600", "0o700"]


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one example: pytest's own is for the whole test."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


#: What a server may hand on: by PEP 3333 Latin-1, but nobody holds a server to it.
anything = st.text(st.characters(), max_size=50)
long = st.integers(0, 9000).map(lambda size: "é" * size)


def test_a_request_of_any_text_is_recorded_once(tmp_path: Path) -> None:
    recorder = Recorder(_app, name="any text", journal=str(tmp_path))
    count = 0

    @given(*[st.one_of(anything, long)] * 6)
    def check(
        client: str, method: str, path: str, host: str, forwarded_for: str, agent: str
    ) -> None:
        nonlocal count
        environ = {
            "REMOTE_ADDR": client,
            "REQUEST_METHOD": method,
            "RAW_URI": f"/{path}",
            "HTTP_HOST": host,
            "HTTP_X_FORWARDED_FOR": forwarded_for,
            "HTTP_USER_AGENT": agent,
        }
        before = _begun(recorder)
        assert recorder(environ, _start_response) == [b"hello"]
        count += 1
        assert _begun(recorder) == before + 1

    check()
    records = [unpacked(record) for _, some in read_folder(tmp_path) for record in some]
    begins = [record for record in records if isinstance(record, Begin)]
    assert [record.seq for record in begins] == list(range(1, count + 1))
    assert sorted(record[0] for record in records) == sorted(2 * list(range(1, count + 1)))


@pytest.mark.parametrize(
    ("variable", "field", "limit"),
    [("REMOTE_ADDR", "client", FIELD_LIMIT), ("REQUEST_METHOD", "method", FIELD_LIMIT),
     ("RAW_URI", "uri", URI_LIMIT), ("HTTP_HOST", "host", FIELD_LIMIT),
     ("HTTP_X_FORWARDED_FOR", "forwarded_for", FIELD_LIMIT),
     ("HTTP_USER_AGENT", "user_agent", FIELD_LIMIT)],
)  # fmt: skip
def test_each_field_of_a_request_has_its_limit_and_the_others_stay_whole(
    tmp_path: Path, variable: str, field: str, limit: int
) -> None:
    recorder = Recorder(_app, name="limits", journal=str(tmp_path))
    for over in (0, 1):
        environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "HTTP_HOST": "h", "REMOTE_ADDR": "a"}
        environ |= {"HTTP_USER_AGENT": "u", "HTTP_X_FORWARDED_FOR": "f"}
        environ[variable] = ("/" * (limit + over)) if over else "/" * limit
        recorder(environ, _start_response)
    ((_, records),) = read_folder(tmp_path)
    whole, cut = [unpacked(record) for record in records if record[0] == BEGIN]
    assert isinstance(whole, Begin) and isinstance(cut, Begin)
    assert getattr(whole, field) == "/" * limit and not whole.cut
    assert getattr(cut, field) == "/" * (limit - 3) + "…" and cut.cut
    assert records[2][1] & CUT
    assert whole._replace(**_own(cut, field)) == cut


def test_what_is_not_known_is_none(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.end(writer.begin(b"", 0, 0, 0), 5)
    ((_, records),) = read_folder(tmp_path)
    end = unpacked(records[1])
    assert end[:6] == (1, 5, None, None, None, "")
    assert UNKNOWN == 2**64 - 1


def _own(record: Begin, field: str) -> dict[str, Any]:
    """What distinguishes one request from the next: its number and times, and the field."""
    return {name: getattr(record, name) for name in ("seq", "wall_ns", "mono_ns", "cut", field)}


def _begun(recorder: Recorder) -> int:
    writer = recorder.channel.writer
    return writer.next_seq - 1 if isinstance(writer, Writer) else 0


def _app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def _start_response(status: str, headers: Any, exc_info: Any = None) -> None:
    """As a server's, which sends nothing here."""
