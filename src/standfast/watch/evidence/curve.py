"""How each worker grew: memory, processor time, threads and open files, sampled from outside.

The files of proc(5) are opened once and read again and again: that costs a few microseconds, and
a descriptor stays with its process, whoever gets the number after it.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from standfast.store.evidence import CURVE, Fact, Source
from standfast.watch import descriptors
from standfast.watch.liveness import Process

from .collector import Death, Living

#: So many samples are kept as they come. Of older ones, up to ten minutes, the one with the
#: largest memory of every five seconds stays.
_RECENT = 120
_STEP_S = 5.0
_OLD = 120
#: One in eight of the descriptors that the watcher may have, and a worker holds three.
_SHARE = 1 / 24
_MOST = 512
#: Of further workers the files are opened each time; so many are sampled at all.
_MOST_SAMPLED = 4096

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 2**20
_OPEN_FILES = re.compile(rb"^Max open files +(\d+) ", re.MULTILINE)


class Sample(NamedTuple):
    """A worker at one moment of the monotonic clock; ``descriptors`` is None where this user
    may not know it. ``anonymous`` is memory that is no file's: what the worker itself has made."""

    at_s: float
    rss: int
    cpu_s: float
    threads: int
    descriptors: int | None
    anonymous: int


class Probe:
    """Reads the figures of one process. Raises OSError where it is another one or has ended."""

    def __init__(self, pid: int, process: Process) -> None:
        self._fds: list[int] = []
        #: How many files it may have open, None where there is no limit or nobody knows.
        self.descriptor_limit: int | None = None
        folder = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._stat = self._open("stat", folder)
            self._statm = self._open("statm", folder)
            if int(self._words()[19]) != process.start_ticks:
                raise ProcessLookupError
            self._descriptors: int | None = None
            with suppress(OSError):
                self._descriptors = self._open("fd", folder)
            with suppress(OSError):
                self.descriptor_limit = _open_files_limit(folder)
        except (OSError, IndexError, ValueError) as error:
            self.close()
            raise error if isinstance(error, OSError) else ProcessLookupError from None
        finally:
            os.close(folder)

    def sample(self) -> Sample | None:
        """The process now, None where it has no memory any more: it is about to end."""
        words = self._words()
        _, resident, shared = os.pread(self._statm, 256, 0).split(b" ", 3)[:3]
        if resident == b"0":
            return None
        rss = int(resident) * _PAGE
        return Sample(
            at_s=time.monotonic(),
            rss=rss,
            cpu_s=(int(words[11]) + int(words[12])) / _TICKS,
            threads=int(words[17]),
            descriptors=self._count_descriptors(),
            anonymous=max(rss - int(shared) * _PAGE, 0),
        )

    def close(self) -> None:
        """Closes the files."""
        while self._fds:
            os.close(self._fds.pop())

    def _open(self, name: str, folder: int) -> int:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        self._fds.append(fd)
        return fd

    def _words(self) -> list[bytes]:
        """/proc/PID/stat from its third field on; the second, in brackets, may have spaces."""
        return os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()

    def _count_descriptors(self) -> int | None:
        if self._descriptors is None:
            return None
        # The size of the folder is the number of its entries since Linux 6.2, else 0.
        if size := os.fstat(self._descriptors).st_size:
            return size
        with os.scandir(self._descriptors) as entries:
            return sum(1 for _ in entries)


class Track:
    """The samples of one worker: all of the last minute, and fewer the older they are."""

    def __init__(self) -> None:
        self._recent: deque[Sample] = deque()
        self._old: deque[Sample] = deque(maxlen=_OLD)

    def add(self, sample: Sample) -> None:
        """Takes in the next sample."""
        self._recent.append(sample)
        if len(self._recent) <= _RECENT:
            return
        leaving = self._recent.popleft()
        last = self._old[-1] if self._old else None
        if last is None or leaving.at_s // _STEP_S != last.at_s // _STEP_S:
            self._old.append(leaving)
        elif leaving.rss >= last.rss:
            self._old[-1] = leaving

    def samples(self) -> list[Sample]:
        """What is left of them, at most 240, the oldest first."""
        return [*self._old, *self._recent]


class Curve:
    """Samples every living worker, up to 4096 of them, and tells of a dead one how it went."""

    def __init__(self) -> None:
        self._most_open = descriptors.share(_SHARE, _MOST)
        self._probes: dict[Process, Probe] = {}
        self._limits: dict[Process, int | None] = {}
        self._tracks: dict[Process, Track] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Takes one sample of each."""
        # A process may serve two applications, and is one process all the same.
        for worker in {worker.process: worker for worker in living}.values():
            if worker.process not in self._tracks and len(self._tracks) >= _MOST_SAMPLED:
                continue
            try:
                sample = self._sample(worker)
            except (OSError, IndexError, ValueError):
                continue  # it ends at this moment
            track = self._tracks.setdefault(worker.process, Track())
            if sample is not None:
                track.add(sample)

    def _sample(self, worker: Living) -> Sample | None:
        """Raises OSError, IndexError or ValueError where the process is gone or another one."""
        if probe := self._probes.get(worker.process):
            return probe.sample()
        probe = Probe(worker.pid, worker.process)
        self._limits[worker.process] = probe.descriptor_limit
        if len(self._probes) < self._most_open:
            self._probes[worker.process] = probe
            return probe.sample()
        try:
            return probe.sample()
        finally:
            probe.close()

    def facts(self, death: Death) -> list[Fact]:
        """The curve of a worker that has died."""
        track = self._tracks.get(death.process)
        samples = track.samples() if track else []
        if not samples:
            return []
        limit = self._limits.get(death.process)
        # The moment of the death by the clock of the samples.
        died_s = time.monotonic() - (time.time_ns() - death.died_ns) / 1e9
        rows = [
            [
                round(max(died_s - one.at_s, 0.0), 3),
                one.rss,
                round(one.cpu_s, 2),
                one.threads,
                one.descriptors,
                one.anonymous,
            ]
            for one in samples
        ]
        data = {"samples": rows, "descriptor_limit": limit}
        words = _sentence(death.process.pid, samples, rows[0][0] or 0.0, limit)
        return [Fact(CURVE, Source.PROC, death.died_ns, words, data)]

    def forget(self, death: Death) -> None:
        """Closes the files of a dead worker and drops its samples."""
        self._tracks.pop(death.process, None)
        self._limits.pop(death.process, None)
        if probe := self._probes.pop(death.process, None):
            probe.close()

    def close(self) -> None:
        """Closes all."""
        while self._probes:
            self._probes.popitem()[1].close()


def _sentence(pid: int, samples: list[Sample], span_s: float, limit: int | None) -> str:
    first, last = samples[0], samples[-1]
    peak = max(one.rss for one in samples)
    words = (
        f"the memory of process {pid} went from {_mib(first.rss)} to {_mib(last.rss)} in the last"
        f" {span_s:.1f} s (at most {_mib(peak)}), its CPU time from {first.cpu_s:.1f} to"
        f" {last.cpu_s:.1f} s, its threads from {first.threads} to {last.threads}"
    )
    if first.descriptors is not None:
        of = f" of {limit}" if limit is not None else ""
        words += f", its open files from {first.descriptors} to {last.descriptors}{of}"
    return words


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"


def _open_files_limit(folder: int) -> int | None:
    fd = os.open("limits", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        limit = _OPEN_FILES.search(os.pread(fd, 4096, 0))
    finally:
        os.close(fd)
    return int(limit[1]) if limit else None
