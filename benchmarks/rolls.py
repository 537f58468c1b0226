"""How long a request waits for its journal: the usual record, and where the writer needs more room.

``python -m benchmarks.rolls``: records are written through many segments on the file system of
``--folder``, and each is timed by itself. A store into a mapped page is no system call, but it may
meet a page that the kernel is writing back; a new stretch of pages and a new segment are system
calls on the path of one request in some hundreds or thousands. With ``--full`` the journals have
reached their limit, and each new segment takes the place of an old one that is looked through.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence

from standfast.journal import identity
from standfast.journal.format import SEGMENT_SIZE
from standfast.journal.identity import Identity
from standfast.journal.writer import Writer

_FIELDS = b"192.0.2.7\0GET\0/order/17?page=2\0shop.example\0\0" + b"Mozilla/5.0 (X11; Linux x86_64)"

#: At the limit, of so many workers there are two segments each.
_DEAD = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rolls", description=__doc__)
    parser.add_argument("--requests", type=int, default=400_000, metavar="N")
    parser.add_argument("--folder", metavar="PATH", help="on the file system to be measured")
    parser.add_argument("--full", action="store_true", help="at the limit of the journals")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    journal = tempfile.mkdtemp(dir=options.folder)
    try:
        figures = _measure(journal, options.requests, full=options.full)
    finally:
        shutil.rmtree(journal)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:24}{value:>14,.2f}")
    return 0


def _measure(journal: str, requests: int, *, full: bool) -> dict[str, float]:
    """Each begin record's time, in microseconds, by what the writer had to do for it: by the clock,
    or at the limit, where it is work, by the processor."""
    me = identity.of_this_process("rolls")
    limit = 2**40
    if full:
        limit = _fill(journal, me) * SEGMENT_SIZE
    writer = Writer(journal, me, limit=limit)
    usual: list[int] = []
    stretches: list[int] = []
    rolls: list[int] = []
    clock = time.thread_time_ns if full else time.perf_counter_ns
    for _ in range(requests):
        segment, populated = writer._segment, writer._populated
        start = clock()
        seq = writer.begin(_FIELDS, 1, 2, 3)
        took = clock() - start
        if writer._segment != segment:
            rolls.append(took)
        elif writer._populated != populated:
            stretches.append(took)
        else:
            usual.append(took)
        writer.end(seq, 1)
    usual.sort()
    return {
        "requests": requests,
        "usual_median_us": usual[len(usual) // 2] / 1000,
        "usual_p99_us": usual[len(usual) * 99 // 100] / 1000,
        "usual_p9999_us": usual[len(usual) * 9999 // 10000] / 1000,
        "usual_longest_us": usual[-1] / 1000,
        **_middle_and_most("stretches", stretches),
        **_middle_and_most("rolls", rolls[1:] or rolls),
    }


def _fill(journal: str, me: Identity) -> int:
    """Makes segments of dead workers, all of which may go; how many."""
    for number in range(_DEAD):
        writer = Writer(journal, me._replace(pid=2**22 + number, start_ticks=7), limit=2**40)
        while writer._segment < 2:
            writer.end(writer.begin(_FIELDS, 1, 2, 3), 1)
        writer.close()
    return 2 * _DEAD


def _middle_and_most(name: str, times: list[int]) -> dict[str, float]:
    times = sorted(times) or [0]
    return {
        name: len(times),
        f"{name}_median_us": times[len(times) // 2] / 1000,
        f"{name}_longest_us": times[-1] / 1000,
    }


if __name__ == "__main__":
    sys.exit(main())
