"""What applications under test have recorded, read back from their journals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from standfast.journal.files import FAULT_SUFFIX, SUFFIX
from standfast.journal.format import (
    BEGIN,
    END,
    EXIT,
    PROGRESS,
    Begin,
    End,
    Exit,
    Header,
    Progress,
    unpack_begin,
    unpack_end,
    unpack_exit,
    unpack_progress,
)
from standfast.journal.reader import SegmentReader


class Request(NamedTuple):
    """One begin record, with the other records of the same worker and number; while it has no end
    record, with what stands in its place for an answer."""

    worker: Header
    begin: Begin
    ends: list[End]
    progress: list[Progress]

    @property
    def closed(self) -> bool:
        """Whether the application's code has returned from it by itself."""
        return any(not end.running for end in self.ends)

    @property
    def end(self) -> End:
        """The end record that closed it."""
        (end,) = [end for end in self.ends if not end.running]
        return end


class Recorded(NamedTuple):
    """Everything under one journal folder, in the order of time; ``faults`` by worker's pid."""

    requests: list[Request]
    exits: list[Exit]
    faults: dict[int, str]

    def of(self, uri: str) -> list[Request]:
        """The requests whose URI starts with ``uri``."""
        return [request for request in self.requests if request.begin.uri.startswith(uri)]

    def one(self, uri: str) -> Request:
        """The only request whose URI starts with ``uri``."""
        (request,) = self.of(uri)
        return request


def read(journal: Path) -> Recorded:
    """Reads all that is under ``journal`` by now. Each segment must be sound."""
    requests: dict[tuple[int, int, int], Request] = {}
    exits: list[Exit] = []
    for path in sorted(journal.glob(f"*/*{SUFFIX}")):
        with SegmentReader(str(path)) as reader:
            worker = reader.header
            assert worker is not None, path
            answers = reader.answers()
            while records := reader.read():
                for kind, flags, body in records:
                    if kind == BEGIN:
                        begin = unpack_begin(body, flags)
                        assert begin is not None, path
                        key = (worker.pid, worker.start_ticks, begin.seq)
                        assert key not in requests, f"{key} begins twice in {path}"
                        requests[key] = Request(worker, begin, [], [])
                    elif kind == END:
                        end = unpack_end(body, flags)
                        assert end is not None, path
                        requests[worker.pid, worker.start_ticks, end.seq].ends.append(end)
                    elif kind == PROGRESS:
                        step = unpack_progress(body)
                        assert step is not None, path
                        requests[worker.pid, worker.start_ticks, step.seq].progress.append(step)
                    elif kind == EXIT:
                        dead = unpack_exit(body)
                        assert dead is not None, path
                        exits.append(dead)
            for _, flags, body in answers:
                end = unpack_end(body, flags)
                assert end is not None, path
                answered = requests.get((worker.pid, worker.start_ticks, end.seq))
                if answered is not None and not answered.ends:
                    answered.ends.append(end)
            assert (reader.damaged, reader.lost()) == (0, 0), path
    faults = {
        int(path.name.partition("-")[0]): path.read_text()
        for path in journal.glob(f"*/*{FAULT_SUFFIX}")
        if path.stat().st_size
    }
    in_order = sorted(requests.values(), key=lambda request: request.begin.wall_ns)
    return Recorded(in_order, exits, faults)


def read_until(
    journal: Path, enough: Callable[[Recorded], bool], timeout_s: float = 10.0
) -> Recorded:
    """As ``read``, again and again until it is ``enough`` or ``timeout_s`` seconds are over.

    A client may have its response before the server has closed the record. What is there at
    the end of the time is returned as it is: the caller's assertion says best what is missing.
    """
    until = time.monotonic() + timeout_s
    while not enough(recorded := read(journal)) and time.monotonic() < until:
        time.sleep(0.02)
    return recorded


def all_closed(recorded: Recorded) -> bool:
    """Whether no request is open."""
    return all(request.closed for request in recorded.requests)
