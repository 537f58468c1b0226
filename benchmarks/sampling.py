"""What it costs the watcher to look at each worker, and what share of a core that is.

``python -m benchmarks.sampling``: real processes with threads and open files are sampled as
``standfast watch`` does it, and the processor time of that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from standfast.journal import identity
from standfast.watch.evidence.collector import Living
from standfast.watch.evidence.curve import Curve
from standfast.watch.liveness import Process
from standfast.watch.settings import Settings

#: A worker as a threaded server has them, which says when it is ready.
_WORKER = """
import os, sys, threading, time
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(sys.argv[2]))]
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__)
    parser.add_argument("--workers", type=int, default=50, metavar="N")
    parser.add_argument("--threads", type=int, default=5, metavar="N", help="of each worker")
    parser.add_argument("--files", type=int, default=40, metavar="N", help="open in each worker")
    parser.add_argument("--looks", type=int, default=400, metavar="N")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    command = [sys.executable, "-c", _WORKER, str(options.threads), str(options.files)]
    with ExitStack() as ends:
        living = [_start(command, ends, number) for number in range(options.workers)]
        costs = _measure(living, options.looks)
    median_us = statistics.median(costs)
    low_us, _, high_us = statistics.quantiles(costs, n=4)
    sample_s = Settings().sample_s
    share = options.workers * median_us / 1e6 / sample_s
    figures = {
        "workers": options.workers,
        "looks": options.looks,
        "median_us": round(median_us, 2),
        "low_us": round(low_us, 2),
        "high_us": round(high_us, 2),
        "sample_s": sample_s,
        "core_share": round(share, 6),
    }
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        print(
            f"{median_us:.1f} µs for each worker and sample (quartiles {low_us:.1f} to"
            f" {high_us:.1f}); {options.workers} workers every {sample_s:g} s:"
            f" {100 * share:.2f} % of a core"
        )
    return 0


def _start(command: Sequence[str], ends: ExitStack, number: int) -> Living:
    worker = ends.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    ends.callback(worker.kill)
    assert worker.stdout is not None
    worker.stdout.readline()
    ticks = identity.start_ticks(worker.pid)
    process = Process(os.uname().nodename, identity.boot_id(), 0, worker.pid, ticks)
    return Living(number, process, worker.pid)


def _measure(living: Sequence[Living], looks: int) -> list[float]:
    """The processor time of each look, in microseconds for each worker."""
    curve = Curve()
    curve.look(living)  # the first one opens the files
    costs = []
    for _ in range(looks):
        begun_ns = time.process_time_ns()
        curve.look(living)
        costs.append((time.process_time_ns() - begun_ns) / 1e3 / len(living))
    curve.close()
    return costs


if __name__ == "__main__":
    sys.exit(main())
