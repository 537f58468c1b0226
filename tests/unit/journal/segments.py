"""Segments for tests: written in both ways, and read back to the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from standfast.journal.append import AppendWriter
from standfast.journal.format import (
    BEGIN,
    END,
    EXIT,
    MIN_SEGMENT_SIZE,
    Begin,
    End,
    Exit,
    pack_record,
)
from standfast.journal.format import unpack_begin as _begin
from standfast.journal.format import unpack_end as _end
from standfast.journal.format import unpack_exit as _exit
from standfast.journal.identity import Identity
from standfast.journal.reader import Record, SegmentReader
from standfast.journal.writer import Writer

WORKER = Identity(
    app="shop",
    host="web1.example.org",
    pid=4321,
    start_ticks=123_456,
    boot_id="1d9a5ef0-6c1c-4b34-8a67-0d6f0b7c4a11",
    pid_namespace=4_026_531_836,
    server="gunicorn 23.0.0",
    revision="v7",
)


class Reading(NamedTuple):
    """What one reading of a segment gave, and what it passed over."""

    records: list[Record]
    damaged: int
    damaged_bytes: int


def read(path: Path, *, offset: int = 0, limit: int = 1024 * 1024, final: bool = True) -> Reading:
    """Reads a segment to its end, or as far as it has been written where not ``final``."""
    records: list[Record] = []
    with SegmentReader(str(path), offset) as reader:
        while reader.header is not None and not reader.ended:
            some = reader.read(limit, final=final)
            records += some
            if not final and not some:
                break
        return Reading(records, reader.damaged, reader.damaged_bytes)


def read_folder(journal: Path) -> Iterator[tuple[SegmentReader, list[Record]]]:
    """Each segment under ``journal``, oldest first, with all its records; none is damaged."""
    for path in sorted(journal.glob("*/*.journal")):
        with SegmentReader(str(path)) as reader:
            records: list[Record] = []
            while some := reader.read():
                records += some
            assert reader.damaged == 0, path
            yield reader, records


def unpacked(record: Record) -> Begin | End | Exit:
    """The record in its own type."""
    kind, flags, body = record
    if kind == BEGIN:
        found: Begin | End | Exit | None = _begin(body, flags)
    elif kind == END:
        found = _end(body, flags)
    else:
        assert kind == EXIT, record
        found = _exit(body)
    assert found is not None, record
    return found


def new_writer(journal: Path, who: Identity = WORKER, **options: int) -> Writer:
    """A mapped writer with the smallest segments there are."""
    return Writer(str(journal), who, **{"segment_size": MIN_SEGMENT_SIZE, **options})


def segment_of(journal: Path, number: int = 1) -> Path:
    """The one worker's segment of that number."""
    (path,) = journal.glob(f"*/*.{number:06d}.journal")
    return path


def header_of(path: Path) -> bytes:
    """The bytes in front of the first record."""
    with SegmentReader(str(path)) as reader:
        assert reader.header is not None
        return path.read_bytes()[: reader.header.records_at]


def write_segment(path: Path, records: Iterable[bytes], *, tail: int = 0) -> list[int]:
    """A segment with ``records`` and ``tail`` zero bytes; where each record starts, and the end."""
    header = _plain_header(path.parent)
    starts = [len(header)]
    content = [header]
    for record in records:
        content.append(record)
        starts.append(starts[-1] + len(record))
    path.write_bytes(b"".join(content) + bytes(tail))
    return starts


def begin(seq: int, uri: bytes = b"/", padding: int = 0) -> bytes:
    """A begin record as bytes; ``padding`` makes its user agent longer."""
    fixed = seq.to_bytes(8, "little") + bytes(24)
    return pack_record(BEGIN, fixed + b"192.0.2.7\0GET\0" + uri + b"\0\0\0" + b"x" * padding)


def seqs(records: Iterable[Record]) -> list[int]:
    """The numbers of the requests that begin and end records are about."""
    return [int.from_bytes(body[:8], "little") for _, _, body in records]


_header: list[bytes] = []


def _plain_header(folder: Path) -> bytes:
    if not _header:
        AppendWriter(str(folder / "header"), WORKER).close()
        _header.append(segment_of(folder / "header").read_bytes())
    return _header[0]
