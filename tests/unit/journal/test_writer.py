"""The mapped writer: many threads, many segments, a fork, and a disk that takes its time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from standfast.journal import files
from standfast.journal.format import (
    BEGIN,
    BEGIN_FIXED,
    END,
    HEADER_LIMIT,
    MIN_SEGMENT_SIZE,
    RECORD_LIMIT,
    SEGMENT_LIMIT,
    Begin,
    End,
)
from standfast.journal.reader import Record, SegmentReader
from standfast.journal.writer import END_KIND
from standfast.record.channel import channel_for
from standfast.wsgi import Recorder
from tests.unit.journal.segments import (
    WORKER,
    header_of,
    new_writer,
    read,
    read_folder,
    segment_of,
    seqs,
    unpacked,
)


def test_sixteen_threads_write_every_record_once_and_whole(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    threads, each = 16, 1500
    numbers: list[list[int]] = [[] for _ in range(threads)]
    together = threading.Barrier(threads)

    def work(thread: int) -> None:
        together.wait()
        for number in range(each):
            fields = b"192.0.2.7\0GET\0/%d/%d\0\0\0" % (thread, number) + b"x" * (number % 400)
            seq = writer.begin(fields, 1, 2, thread)
            numbers[thread].append(seq)
            writer.end(seq, thread, status=number % 60000 + 1)

    with switching_often():
        running = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()

    assert (writer.lost, writer.error) == (0, None)
    everyone = sorted(seq for own in numbers for seq in own)
    assert everyone == list(range(1, threads * each + 1))
    order: list[int] = []
    open_now: dict[int, Begin] = {}
    segments = 0
    for reader, records in read_folder(tmp_path):
        segments += 1
        assert reader.header is not None and reader.header.segment == segments
        for record in map(unpacked, records):
            if isinstance(record, Begin):
                order.append(record.seq)
                open_now[record.seq] = record
            else:
                assert isinstance(record, End)
                began = open_now.pop(record.seq)
                number = (record.status or 0) - 1
                assert began.uri == f"/{record.duration_ns}/{number}"
                assert numbers[record.duration_ns][number] == record.seq
                assert began.thread == record.duration_ns
    assert order == everyone, "begin records stand in the order of their numbers"
    assert not open_now
    assert segments > 40


@contextmanager
def switching_often() -> Iterator[None]:
    """Threads take turns as often as Python allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_a_request_may_begin_in_one_segment_and_end_many_later(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    long = writer.begin(b"192.0.2.7\0GET\0/long\0\0\0", 1, 2, 3)
    while len(list(tmp_path.glob("*/*.journal"))) < 6:
        writer.end(writer.begin(b"x" * 5000, 1, 2, 3), 4, 200)
    writer.end(long, 99, 200)
    found = list(read_folder(tmp_path))
    headers = [reader.header for reader, _ in found]
    assert [header.segment for header in headers if header] == [1, 2, 3, 4, 5, 6]
    assert [reader.ended for reader, _ in found] == [True] * 5 + [False]
    assert found[0][1][0][0] == BEGIN and seqs(found[0][1])[0] == long
    kind, _, body = found[-1][1][-1]
    assert (kind, int.from_bytes(body[:8], "little")) == (END, long)
    closed = Counter(seqs(record for _, some in found for record in some))
    assert set(closed.values()) == {2}


def test_each_segment_stands_by_itself(tmp_path: Path) -> None:
    """The watcher deletes those that it has stored while the worker goes on."""
    writer = new_writer(tmp_path)
    for number in range(1, 5):
        while not list(tmp_path.glob(f"*/*.{number:06d}.journal")):
            writer.begin(b"x" * 5000, 1, 2, 3)
        segment_of(tmp_path, number).unlink()
    last = writer.begin(b"", 1, 2, 3)
    assert list(tmp_path.glob("*/*.journal")) == []
    while not (left := list(tmp_path.glob("*/*.journal"))):
        last = writer.begin(b"x" * 5000, 1, 2, 3)
    assert seqs(read(left[0]).records) == [last]


def test_records_of_every_size_fill_segments_to_the_end_and_stay_whole(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    chance = random.Random(11)
    largest = RECORD_LIMIT - 8 - BEGIN_FIXED.size
    sizes = [chance.choice((chance.randrange(200), chance.randrange(largest))) for _ in range(200)]
    written = [chance.randbytes(size) for size in sizes]
    for fields in written:
        writer.begin(fields, 1, 2, 3)
    found = [body[32:] for _, records in read_folder(tmp_path) for _, _, body in records]
    assert found == written


@pytest.mark.parametrize(("over", "segments"), [(-1, 1), (0, 1), (1, 2), (8, 2)])
def test_a_segment_is_filled_up_to_the_room_for_its_last_word(
    tmp_path: Path, over: int, segments: int
) -> None:
    fixed = 8 + BEGIN_FIXED.size
    writer = new_writer(tmp_path)
    writer.begin(bytes(60_000 - fixed), 1, 2, 3)
    left = MIN_SEGMENT_SIZE - len(header_of(segment_of(tmp_path))) - 60_000 - 16
    writer.append(END_KIND, (1).to_bytes(8, "little") + bytes(60_000 - 16))
    writer.append(END_KIND, (2).to_bytes(8, "little") + bytes(left - 60_000 - 16 + over))
    found = list(read_folder(tmp_path))
    assert [seq for _, records in found for seq in seqs(records)] == [1, 1, 2]
    assert len(found) == segments
    writer.append(END_KIND, (3).to_bytes(8, "little"))
    found = list(read_folder(tmp_path))
    assert [seq for _, records in found for seq in seqs(records)] == [1, 1, 2, 3]
    assert [reader.ended for reader, _ in found] == [True, False]


def test_what_has_begun_can_still_be_closed_where_the_disk_refuses_another_segment(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path)
    begun = [writer.begin(b"x" * 1000, 1, 2, 3)]
    folder = segment_of(tmp_path).parent
    folder.rename(tmp_path / "away")
    folder.write_text("no folder")
    while seq := writer.begin(b"x" * 1000, 1, 2, 3):
        begun.append(seq)
    for seq in begun:
        writer.end(seq, 1)
    assert writer.lost == 1
    folder.unlink()
    (tmp_path / "away").rename(folder)
    ((_, records),) = read_folder(tmp_path)
    assert [kind for kind, _, _ in records].count(END) == len(begun) > 80


def test_a_begin_record_of_the_largest_size_is_written_even_where_the_header_is_largest(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path, WORKER._replace(revision="v" * (HEADER_LIMIT - 200)))
    largest = b"x" * (RECORD_LIMIT - 8 - BEGIN_FIXED.size)
    assert [writer.begin(largest, 1, 2, 3) for _ in range(3)] == [1, 2, 3]
    assert len(header_of(segment_of(tmp_path))) > HEADER_LIMIT - 100
    records = [record for _, some in read_folder(tmp_path) for record in some]
    assert [body[32:] for _, _, body in records] == [largest] * 3


def test_a_segment_is_reserved_as_a_whole_and_never_larger_than_a_reader_reads(
    tmp_path: Path,
) -> None:
    for wanted, size in ((1, MIN_SEGMENT_SIZE), (300_001, 300_000), (2**40, SEGMENT_LIMIT)):
        writer = new_writer(tmp_path / str(wanted), segment_size=wanted)
        writer.begin(b"", 1, 2, 3)
        status = segment_of(tmp_path / str(wanted)).stat()
        assert status.st_size == size
        assert status.st_blocks * 512 >= size
        writer.close()


def test_a_writer_that_was_closed_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.close()
    assert writer.begin(b"one", 1, 2, 3) == 1
    writer.close()
    writer.close()
    writer.end(1, 2)
    assert writer.begin(b"two", 1, 2, 3) == 2
    assert [seqs(records) for _, records in read_folder(tmp_path)] == [[1], [1, 2]]


def test_numbers_start_where_they_are_told(tmp_path: Path) -> None:
    writer = new_writer(tmp_path, first_seq=1000)
    assert writer.next_seq == 1000
    assert writer.begin(b"", 1, 2, 3) == 1000
    assert writer.next_seq == 1001


class SlowDisk:
    """Stands before the making of segments until ``go`` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        create = files.create

        def slowly(*args: Any) -> int:
            self.reached.set()
            assert self.go.wait(60)
            return create(*args)

        monkeypatch.setattr(files, "create", slowly)


def test_who_waits_too_long_for_another_thread_goes_on_unrecorded_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path)
    disk = SlowDisk(monkeypatch)
    slow: list[int] = []
    thread = threading.Thread(target=lambda: slow.append(writer.begin(b"slow", 1, 2, 3)))
    thread.start()
    assert disk.reached.wait(60)
    waited = [timed(lambda: writer.begin(b"unlucky", 1, 2, 3)) for _ in range(6)]
    assert [seq for seq, _ in waited] == [0] * 6
    # Patience is not endless, and is not had again by everybody while nothing changes.
    assert waited[0][1] < 30 and sum(seconds for _, seconds in waited[3:]) < waited[0][1]
    writer.end(7, 1)
    assert writer.lost == 7
    disk.go.set()
    thread.join()
    assert slow == [1]
    assert writer.begin(b"lucky", 1, 2, 3) == 2
    with SegmentReader(str(segment_of(tmp_path))) as reader:
        assert seqs(reader.read()) == [1, 2]
        assert reader.header is not None and reader.header.lost == reader.lost() == 7


def timed(call: Callable[[], int]) -> tuple[int, float]:
    start = time.monotonic()
    return call(), time.monotonic() - start


def test_what_is_lost_beside_a_segment_shows_in_its_header_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path)
    writer.begin(b"", 1, 2, 3)
    disk = SlowDisk(monkeypatch)
    thread = threading.Thread(target=lambda: fill(writer.begin))
    thread.start()
    assert disk.reached.wait(60)
    assert writer.begin(b"", 1, 2, 3) == 0
    with SegmentReader(str(segment_of(tmp_path))) as reader:
        assert reader.lost() == 1
    disk.go.set()
    thread.join()
    with SegmentReader(str(segment_of(tmp_path, 2))) as reader:
        assert reader.lost() == 1


def fill(begin: Callable[..., int]) -> None:
    """Writes on until a new segment was needed."""
    for _ in range(MIN_SEGMENT_SIZE // 5000 + 1):
        begin(b"x" * 5000, 1, 2, 3)


def test_a_signal_handler_that_serves_a_request_while_a_record_is_written_cannot_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path)
    create = files.create
    in_handler: list[int] = []

    def interrupted(*args: Any) -> int:
        signal.raise_signal(signal.SIGUSR1)
        return create(*args)

    monkeypatch.setattr(files, "create", interrupted)
    before = signal.signal(
        signal.SIGUSR1, lambda *_: in_handler.append(writer.begin(b"handler", 1, 2, 3))
    )
    try:
        assert writer.begin(b"interrupted", 1, 2, 3) == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert in_handler == [0]
    assert writer.lost == 1
    assert writer.begin(b"next", 1, 2, 3) == 2


def test_a_disk_that_refuses_is_asked_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path)
    asked = 0

    def refuse(*args: Any) -> int:
        nonlocal asked
        asked += 1
        raise OSError(28, "No space left on device")

    create = files.create
    monkeypatch.setattr(files, "create", refuse)
    assert [writer.begin(b"", 1, 2, 3) for _ in range(1000)] == [0] * 1000
    assert asked == 1, "the disk is not to be asked by every request"
    assert writer.lost == 1000
    refusal = writer.error
    assert refusal is not None and refusal.errno == 28
    monkeypatch.setattr(files, "create", create)
    until = time.monotonic() + 30
    while not (seq := writer.begin(b"", 1, 2, 3)) and time.monotonic() < until:
        time.sleep(0.05)
    assert seq == 1, "a number is only given to what is recorded"
    assert writer.error is None
    with SegmentReader(str(segment_of(tmp_path))) as reader:
        assert reader.lost() == writer.lost >= 1000


def test_a_worker_whose_name_fits_no_header_goes_unrecorded_and_says_why(tmp_path: Path) -> None:
    writer = new_writer(tmp_path, WORKER._replace(revision="v" * HEADER_LIMIT))
    assert writer.begin(b"", 1, 2, 3) == 0
    writer.end(1, 2)
    assert "the header holds at most" in str(writer.error)


def test_a_process_that_has_become_another_program_goes_on_where_the_first_one_stood(
    tmp_path: Path,
) -> None:
    program = """
import os, sys
from standfast.wsgi import Recorder
recorder = Recorder(lambda environ, start: [b"x"], name="shop", journal=sys.argv[1])
recorder({"REQUEST_METHOD": "GET", "RAW_URI": "/" + sys.argv[2]}, lambda *_: None)
if sys.argv[2] != "ccc":
    os.execv(sys.executable, sys.orig_argv[:-1] + [sys.argv[2] + "c"])
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "c"], check=True, capture_output=True
    )
    found = [
        (reader.header.segment, record.uri, record.seq)
        for reader, records in read_folder(tmp_path)
        for record in map(unpacked, records)
        if reader.header and isinstance(record, Begin)
    ]
    assert [(number, uri) for number, uri, _ in found] == [(1, "/c"), (2, "/cc"), (3, "/ccc")]
    assert len({seq for _, _, seq in found}) == 3


def test_a_segment_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    first, second = new_writer(tmp_path), new_writer(tmp_path)
    first.begin(b"precious", 1, 2, 3)
    before = segment_of(tmp_path).read_bytes()
    assert second.begin(b"other", 1, 2, 3) == 0
    assert isinstance(second.error, FileExistsError)
    assert segment_of(tmp_path).read_bytes() == before
    assert [path.name for path in segment_of(tmp_path).parent.iterdir()] == [
        segment_of(tmp_path).name
    ]


def test_no_link_is_followed_where_a_segment_is_made(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    writer = new_writer(tmp_path / "journal")
    folder = Path(files.app_folder(str(tmp_path / "journal"), WORKER.app))
    folder.mkdir(parents=True)
    name = files.segment_name(writer.uid, 1)
    (folder / f".{name}.new").symlink_to(victim)
    (folder / name).symlink_to(victim)
    assert writer.begin(b"", 1, 2, 3) == 0
    assert writer.error is not None
    assert victim.read_text() == "precious"


Served = dict[int, list[Record]]


def served_by(journal: Path) -> Served:
    """All records by the process that wrote them."""
    found: Served = {}
    for reader, records in read_folder(journal):
        assert reader.header is not None
        found.setdefault(reader.header.pid, []).extend(records)
    return found


def in_child(action: Callable[[], None]) -> int:
    """Runs ``action`` in a forked child, which may take a minute; its pid. It ended well."""
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    return pid


def respond(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


def serve(recorder: Recorder, path: str, **more: Any) -> None:
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": path, **more}
    assert recorder(environ, lambda *_: None) == [b"hello"]


def test_a_child_has_its_own_journal_and_its_parents_goes_on_untouched(tmp_path: Path) -> None:
    recorder = Recorder(respond, name="forking", journal=str(tmp_path))
    serve(recorder, "/parent/1")
    parent_segment = segment_of(tmp_path)
    before = parent_segment.read_bytes()

    def child() -> None:
        serve(recorder, "/child/1")
        serve(recorder, "/child/2")

    pid = in_child(child)
    assert parent_segment.read_bytes() == before
    serve(recorder, "/parent/2")
    found = served_by(tmp_path)
    assert set(found) == {os.getpid(), pid}
    assert uris(found[os.getpid()]) == ["/parent/1", "/parent/2"]
    assert uris(found[pid]) == ["/child/1", "/child/2"]
    assert channel_for("forking", str(tmp_path)) is recorder.channel


def uris(records: list[Record]) -> list[str]:
    """Of the requests that began; each of them has ended."""
    begun = {one.seq: one.uri for one in map(unpacked, records) if isinstance(one, Begin)}
    ended = [one.seq for one in map(unpacked, records) if isinstance(one, End)]
    assert sorted(ended) == sorted(begun)
    return list(begun.values())


@pytest.mark.parametrize("own_first", [False, True], ids=["alone", "beside its own"])
def test_a_request_begun_in_the_parent_and_ended_in_the_child_closes_nothing_there(
    tmp_path: Path, own_first: bool
) -> None:
    forks: list[int] = []

    def forking(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["RAW_URI"] == "/fork":
            forks.append(os.fork())
            if not forks[-1] and own_first:
                # Open when the parent's request ends here, and under a number of its own.
                serve(recorder, "/child/meanwhile")
        return respond(environ, start_response)

    recorder = Recorder(forking, name="forking", journal=str(tmp_path))
    for number in range(3):
        serve(recorder, f"/parent/{number}")
    parent = os.getpid()
    try:
        serve(recorder, "/fork")
        if os.getpid() != parent:
            serve(recorder, "/child")
            os._exit(0)
    finally:
        if os.getpid() != parent:
            os._exit(1)
    assert os.waitpid(forks[0], 0)[1] == 0
    found = served_by(tmp_path)
    assert uris(found[os.getpid()]) == ["/parent/0", "/parent/1", "/parent/2", "/fork"]
    child = [unpacked(record) for record in found[forks[0]]]
    begun = [one.seq for one in child if isinstance(one, Begin)]
    ended = [one.seq for one in child if isinstance(one, End)]
    parents = set(seqs(found[os.getpid()]))
    assert not parents & set(begun), "a number of the parent's means nothing else in the child"
    assert set(begun) == set(ended) - parents
    assert len(begun) == 1 + own_first
    # Where the child had a journal by then, the end stands in it and is about nothing there.
    assert ended.count(4) == own_first


def test_a_fork_while_other_threads_write_leaves_the_child_able_to_write(tmp_path: Path) -> None:
    recorder = Recorder(respond, name="forking", journal=str(tmp_path))
    stop = threading.Event()
    counts = [0] * 4

    def work(thread: int) -> None:
        while not stop.is_set():
            serve(recorder, f"/parent/{thread}")
            counts[thread] += 1

    running = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    with switching_often():
        for one in running:
            one.start()
        pids = [in_child(lambda: serve(recorder, "/child")) for _ in range(25)]
        stop.set()
        for one in running:
            one.join()
    found = served_by(tmp_path)
    for pid in pids:
        assert uris(found[pid]) == ["/child"]
    assert len(uris(found[os.getpid()])) == sum(counts) > 100


def test_the_first_requests_of_several_threads_are_all_recorded(tmp_path: Path) -> None:
    """Each of them may find that there is no journal yet."""
    for attempt in range(40):
        recorder = Recorder(respond, name=f"app{attempt}", journal=str(tmp_path))
        together = threading.Barrier(4)

        def work(recorder: Recorder = recorder, together: threading.Barrier = together) -> None:
            together.wait()
            serve(recorder, "/first")

        with switching_often():
            running = [threading.Thread(target=work) for _ in range(4)]
            for one in running:
                one.start()
            for one in running:
                one.join()
    begun = [
        (reader.header.app, len(uris(records)))
        for reader, records in read_folder(tmp_path)
        if reader.header
    ]
    assert sorted(begun) == sorted((f"app{attempt}", 4) for attempt in range(40))


_MAPS = """
import sys
from pathlib import Path
from standfast.journal.format import SEGMENT_SIZE
from tests.unit.journal.segments import new_writer

writer = new_writer(Path(sys.argv[1]), segment_size=SEGMENT_SIZE)
writer.begin(b"192.0.2.7\\0GET\\0/\\0\\0\\0", 1, 2, 3)
print(Path("/proc/self/maps").read_text())
"""


def test_a_buffer_that_is_overrun_meets_a_guard_before_it_meets_the_journal(
    tmp_path: Path,
) -> None:
    maps = subprocess.check_output([sys.executable, "-c", _MAPS, str(tmp_path)], text=True)
    lines = maps.splitlines()
    (at,) = [at for at, line in enumerate(lines) if str(tmp_path) in line]
    below, access, *_ = lines[at - 1].split()
    # What overruns a buffer writes upwards.
    assert below.partition("-")[2] == lines[at].partition("-")[0]
    assert access == "---p"


@pytest.mark.parametrize(
    "write",
    [
        lambda writer: writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3),
        lambda writer: writer.end(1, 5),
        lambda writer: writer.append_now(END_KIND, b""),
        lambda writer: writer.close(),
    ],
)
def test_a_time_out_that_strikes_while_a_record_is_begun_leaves_the_next_one_writable(
    tmp_path: Path, write: Callable[[Any], Any]
) -> None:
    """The kernel's timer strikes there once in some thousand records; here it always does."""

    class Struck(Exception):
        pass

    writer: Any = new_writer(tmp_path)
    assert writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3) == 1
    take = writer._take

    def take_and_be_struck() -> None:
        take()
        raise Struck

    writer._take = take_and_be_struck
    with pytest.raises(Struck):
        write(writer)
    writer._take = take
    assert writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3) == 2


def test_a_segment_that_a_broken_off_roll_has_left_is_passed_over(tmp_path: Path) -> None:
    """As one is where a time-out of the application strikes when the file has just been made."""
    writer: Any = new_writer(tmp_path)
    writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3)
    (first,) = sorted(tmp_path.rglob("*.journal"))
    second = first.with_name(files.segment_name(writer.uid, 2))
    second.write_bytes(first.read_bytes()[:HEADER_LIMIT])
    writer.close()
    assert writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3) == 0, "once, for a second"
    writer._retry_at = 0
    assert writer.begin(b"\0GET\0/\0\0\0", 1, 2, 3) == 2
    assert len(list(tmp_path.rglob("*.journal"))) == 3
