"""The layout of a journal segment: little-endian, fixed, described in docs/journal-format.md.

A segment is a header, places for answers, and records, each starting on a multiple of eight bytes::

    header  magic, version, size, checksum, lost | segment, pid, ... | texts
    answers places of 32 bytes: duration, bytes sent, status, number of the request
    record  head (8 bytes) | body | zero bytes up to a multiple of eight
    head    size u16 (head and body) | type u8 | flags u8 | checksum u32

The checksum is the Adler-32 of the body with type and flags counted in: its upper half starts
not from 0 but from ``flags << 8 | type``.

Size, type and flags are written last, as one aligned store of four bytes: until then they are
zero, and a reader that meets zeros there knows that nothing has been written yet.

That a response is complete while the application's code runs on is of interest only as long as it
does: where the request has a place of its own, it is noted there, for a tenth of a record's cost.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

MAGIC = b"SFJOURN\x01"
VERSION = 2

#: Record types. Any other type with a sound checksum is passed over by a reader.
BEGIN = 0xB1
END = 0xE1
SIGNAL = 0xC1
OPTIONS = 0xC3
EXIT = 0xD1
PROGRESS = 0xA2
ROUTE = 0xA1
ROLL = 0xF1

#: Flag of any record: a text was over its limit and has been cut.
CUT = 0x01
#: Flag of a begin record: a WebSocket, not a request.
WEBSOCKET = 0x02
#: Flag of a begin record: the client asked for an event stream, which may go on for hours.
EVENT_STREAM = 0x40
#: Flags of an end record. The response is complete but the application's code still runs (a
#: background task); another end record, without this flag, says all of it when it has returned.
RUNNING = 0x04
#: The application was torn out of the request by an exception that is no error (SystemExit,
#: KeyboardInterrupt, GreenletExit); the last line of the error stack starts with its name.
ABORTED = 0x08
#: What stands as its error was only logged: no exception escaped from the application.
LOGGED = 0x80
#: The task that served the request was cancelled, as when the client has gone.
CANCELLED = 0x10
#: Flag of an exit record: the child was there to serve requests, whether or not it came to that.
WORKER_EXIT = 0x20
#: Flag of an exit record: and its requests were none that the recorder could see.
UNRECORDED_EXIT = 0x40

#: Limits, in bytes. A field over its limit is cut and the record is flagged.
URI_LIMIT = 8192
FIELD_LIMIT = 1024
ERROR_LIMIT = 16384
HEADER_LIMIT = 8192
RECORD_LIMIT = 65535
#: What a reader takes in of one segment at most, however large the file claims to be.
SEGMENT_LIMIT = 64 * 1024 * 1024
#: How large a writer makes its segments, and how small they may be.
SEGMENT_SIZE = 4 * 1024 * 1024
MIN_SEGMENT_SIZE = 128 * 1024
#: More than the numbers of requests go on in a segment, as a power of two: REQUEST_SLOTS times as
#: many as the records that it can hold.
SEGMENT_SEQS = 33

#: Where many requests share one thread (asyncio, gevent, eventlet), the application is called by
#: a function whose name is this prefix and the request's number modulo REQUEST_SLOTS: so the stack
#: of that thread, whoever takes it, says which request was running.
SLOT_PREFIX = "standfast_request_"
REQUEST_SLOTS = 4096
#: How many of the slots have a place for an answer in a writer's segments. Beyond these, and where
#: requests have no slots, the end of a response is a record of its own.
ANSWER_PLACES = 128

#: How a framework spells what varies in its patterns: ``<int:id>`` as Flask and Django do, or
#: ``{id:int}`` as Starlette does.
BRACKETS = 1
BRACES = 2

CUT_MARK = "…"
#: "Not known" for the number of bytes sent and for CPU time.
UNKNOWN = 0xFFFF_FFFF_FFFF_FFFF

HEAD = struct.Struct("<HHI")
BEGIN_FIXED = struct.Struct("<QqqQ")
END_FIXED = struct.Struct("<QQQQHQ")
ANSWER = struct.Struct("<QQQQ")
EXIT_FIXED = struct.Struct("<qQIi")
PROGRESS_FIXED = struct.Struct("<QQQ")
SIGNAL_FIXED = struct.Struct("<qQIBBxxQ")
OPTIONS_FIXED = struct.Struct("<q")
PREAMBLE = struct.Struct("<8sHHIQ")
IDENTITY = struct.Struct("<IIQqqQQQ")

#: Where the header keeps the count of requests that could not be recorded.
LOST_OFFSET = 16
#: What the checksum of the header covers starts here.
IDENTITY_OFFSET = PREAMBLE.size


class Header(NamedTuple):
    """What a segment says of its worker.

    ``wall_ns`` and ``mono_ns`` are the wall clock and the monotonic clock, both in nanoseconds,
    read together when the segment was made. ``lost`` counts the requests that the worker could
    not record, up to the moment of reading. ``answers`` is the number of places for answers, which
    follow at ``size``; behind them, at ``records_at``, come the records.
    """

    app: str
    host: str
    pid: int
    start_ticks: int
    boot_id: str
    pid_namespace: int
    segment: int
    wall_ns: int
    mono_ns: int
    capacity: int
    server: str
    revision: str
    answers: int = 0
    size: int = 0
    lost: int = 0

    @property
    def records_at(self) -> int:
        return self.size + self.answers * ANSWER.size


class Begin(NamedTuple):
    """A request begun; the texts are as the client sent them, decoded and not to be trusted."""

    seq: int
    wall_ns: int
    mono_ns: int
    thread: int
    kind: str
    client: str
    method: str
    uri: str
    host: str
    forwarded_for: str
    user_agent: str
    cut: bool
    event_stream: bool = False


class End(NamedTuple):
    """A request closed. ``None`` where a value is not known. ``duration_ns`` ends with the
    response, and ``background_ns`` is what the application's code ran on after that."""

    seq: int
    duration_ns: int
    cpu_ns: int | None
    sent: int | None
    status: int | None
    error: str
    cut: bool
    running: bool = False
    aborted: bool = False
    cancelled: bool = False
    logged: bool = False
    background_ns: int = 0


class Progress(NamedTuple):
    """A response on its way: ``age_ns`` after the request began, ``sent`` bytes had been sent.

    ``sent`` is None where that is not known.
    """

    seq: int
    age_ns: int
    sent: int | None


class Exit(NamedTuple):
    """A dead child as its parent saw it: ``code`` from 0 up is an exit code, -N is signal N."""

    wall_ns: int
    start_ticks: int
    pid: int
    code: int
    worker: bool = False
    recorded: bool = True


#: Why a master signals one of its workers. OTHER: it does not say.
OTHER = 0
#: The worker gave no sign of life for as long as it may.
TIMEOUT = 1
#: The server is told to stop.
STOP = 2
#: The server is told to start its workers anew.
RELOAD = 3
#: The server is told to do with fewer workers.
SCALE = 4
#: The worker has served as many requests, or grown as large, as the server's settings allow.
RECYCLE = 5
#: Another worker has failed, and the server stops all others because of that.
FAILURE = 6
#: The application itself sends it, to its own process or to its parent.
APPLICATION = 7


class Options(NamedTuple):
    """The settings of the server that decide when it ends its workers, by its own names."""

    wall_ns: int
    options: dict[str, str]


class Signal(NamedTuple):
    """A signal that a master sent to a living worker, to end it.

    ``timeout_ns`` is how long the worker had had, None where no time-out played a part.
    """

    wall_ns: int
    start_ticks: int
    pid: int
    signal: int
    reason: int
    timeout_ns: int | None


def pack_record(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A whole record as bytes, padded to a multiple of eight.

    Raises ValueError when ``body`` does not fit a record.
    """
    size = HEAD.size + len(body)
    if size > RECORD_LIMIT:
        raise ValueError(
            f"a record holds at most {RECORD_LIMIT - HEAD.size} bytes, not {len(body)}"
        )
    kind |= flags << 8
    return HEAD.pack(size, kind, zlib.adler32(body, kind << 16 | 1)) + body + bytes(-size & 7)


def pack_header(header: Header) -> bytes:
    """The header as bytes; its length is a multiple of eight and is stored within."""
    texts = "\0".join((header.boot_id, header.host, header.app, header.server, header.revision))
    body = IDENTITY.pack(
        header.segment,
        header.pid,
        header.start_ticks,
        header.wall_ns,
        header.mono_ns,
        header.pid_namespace,
        header.capacity,
        header.answers,
    ) + texts.encode("utf-8", "replace")
    body += bytes(-(IDENTITY_OFFSET + len(body)) & 7)
    size = IDENTITY_OFFSET + len(body)
    if size > HEADER_LIMIT:
        raise ValueError(f"the header holds at most {HEADER_LIMIT} bytes, not {size}")
    return PREAMBLE.pack(MAGIC, VERSION, size, zlib.adler32(body), header.lost) + body


def unpack_header(data: bytes) -> Header | None:
    """The header at the start of ``data``, or None where there is no sound one."""
    if len(data) < IDENTITY_OFFSET + IDENTITY.size:
        return None
    magic, version, size, checksum, lost = PREAMBLE.unpack_from(data)
    if magic != MAGIC or version != VERSION or not _plausible_header_size(size, len(data)):
        return None
    body = data[IDENTITY_OFFSET:size]
    if zlib.adler32(body) != checksum:
        return None
    segment, pid, ticks, wall, mono, namespace, capacity, answers = IDENTITY.unpack_from(body)
    if answers > REQUEST_SLOTS:
        return None
    texts = _decode(body[IDENTITY.size :]).split("\0")
    boot_id, host, app, server, revision = (texts + [""] * 5)[:5]
    return Header(
        app=app,
        host=host,
        pid=pid,
        start_ticks=ticks,
        boot_id=boot_id,
        pid_namespace=namespace,
        segment=segment,
        wall_ns=wall,
        mono_ns=mono,
        capacity=capacity,
        server=server,
        revision=revision,
        answers=answers,
        size=size,
        lost=lost,
    )


def _plausible_header_size(size: int, available: int) -> bool:
    return IDENTITY_OFFSET + IDENTITY.size <= size <= min(HEADER_LIMIT, available) and not size & 7


def pack_fields(
    client: bytes, method: bytes, uri: bytes, host: bytes, forwarded_for: bytes, user_agent: bytes
) -> tuple[bytes, bool]:
    """The texts of a begin record and whether one was cut.

    The client's address comes first because it is the server's own word: a zero byte smuggled
    into a later field can only move what the client said anyway.
    """
    fields = (client, method, uri, host, forwarded_for, user_agent)
    limits = (FIELD_LIMIT, FIELD_LIMIT, URI_LIMIT, FIELD_LIMIT, FIELD_LIMIT, FIELD_LIMIT)
    plain = [field.replace(b"\0", b"%00") for field in fields]
    packed = [cut_text(field, limit) for field, limit in zip(plain, limits)]
    return b"\0".join(packed), packed != plain


def cut_text(data: bytes, limit: int) -> bytes:
    """``data`` in at most ``limit`` bytes: where it is cut, its end is the mark of a cut."""
    if len(data) <= limit:
        return data
    mark = CUT_MARK.encode()
    return data[: limit - len(mark)] + mark


def unpack_begin(body: bytes, flags: int) -> Begin | None:
    """The begin record in ``body``, or None where it is too short to be one."""
    if len(body) < BEGIN_FIXED.size:
        return None
    seq, wall, mono, thread = BEGIN_FIXED.unpack_from(body)
    client, method, uri, host, forwarded_for, user_agent = split_fields(body[BEGIN_FIXED.size :])
    return Begin(
        seq,
        wall,
        mono,
        thread,
        "websocket" if flags & WEBSOCKET else "http",
        client,
        method,
        uri,
        host,
        forwarded_for,
        user_agent,
        bool(flags & CUT),
        bool(flags & EVENT_STREAM),
    )


def split_fields(fields: bytes) -> list[str]:
    """The six texts of a begin record: client, method, URI, host, forwarded-for, user agent."""
    texts = _decode(fields).split("\0", 5)
    return texts + [""] * (6 - len(texts))


def unpack_end(body: bytes, flags: int) -> End | None:
    """The end record in ``body``, or None where it is too short to be one."""
    if len(body) < END_FIXED.size:
        return None
    seq, duration, cpu, sent, status, background = END_FIXED.unpack_from(body)
    return End(
        seq,
        duration,
        None if cpu == UNKNOWN else cpu,
        None if sent == UNKNOWN else sent,
        status or None,
        unpack_error(body[END_FIXED.size :]),
        bool(flags & CUT),
        bool(flags & RUNNING),
        bool(flags & ABORTED),
        bool(flags & CANCELLED),
        bool(flags & LOGGED),
        background,
    )


def unpack_error(data: bytes) -> str:
    """The text of an error, which is all that follows the fixed part of an end record."""
    return _decode(data)


def unpack_progress(body: bytes) -> Progress | None:
    """The progress record in ``body``, or None where it is too short to be one."""
    if len(body) < PROGRESS_FIXED.size:
        return None
    seq, age, sent = PROGRESS_FIXED.unpack_from(body)
    return Progress(seq, age, None if sent == UNKNOWN else sent)


def unpack_exit(body: bytes, flags: int = 0) -> Exit | None:
    """The exit record in ``body``, or None where it is too short to be one."""
    if len(body) < EXIT_FIXED.size:
        return None
    wall, ticks, pid, code = EXIT_FIXED.unpack_from(body)
    recorded = not flags & UNRECORDED_EXIT
    return Exit(wall, ticks, pid, code, bool(flags & WORKER_EXIT), recorded)


def unpack_signal(body: bytes) -> Signal | None:
    """The signal record in ``body``, or None where it is too short to be one."""
    if len(body) < SIGNAL_FIXED.size:
        return None
    wall, ticks, pid, signal, reason, timeout = SIGNAL_FIXED.unpack_from(body)
    return Signal(wall, ticks, pid, signal, reason, timeout or None)


def unpack_route(body: bytes) -> tuple[int, str] | None:
    """Spelling and text of the pattern in a route record, or None where it is too short."""
    if len(body) <= 2:
        return None
    return int.from_bytes(body[:2], "little"), _decode(body[2 : 2 + FIELD_LIMIT])


def pack_options(wall_ns: int, options: Mapping[str, str]) -> bytes:
    """The body of an options record; what is over the limit of a field is left out."""
    texts = [text.replace("\0", "") for pair in options.items() for text in pair]
    packed = "\0".join(texts).encode("utf-8", "backslashreplace")
    return OPTIONS_FIXED.pack(wall_ns) + (packed if len(packed) <= URI_LIMIT else b"")


def unpack_options(body: bytes) -> Options | None:
    """The options record in ``body``, or None where it is too short to be one."""
    if len(body) < OPTIONS_FIXED.size:
        return None
    texts = _decode(body[OPTIONS_FIXED.size : OPTIONS_FIXED.size + URI_LIMIT]).split("\0")
    (wall,) = OPTIONS_FIXED.unpack_from(body)
    return Options(wall, dict(zip(texts[::2], texts[1::2])))


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
