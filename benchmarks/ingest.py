"""How fast the watcher takes in a backlog: journals on disk into SQLite, on one core.

    python benchmarks/ingest.py [--requests N] [--workers N] [--kind KIND] [--json] [--folder DIR]

Dead workers' journals are written first, with ids and queries in the paths and a failed, a slow
and an open request now and then. Then a process of its own, pinned to one core, drains them into
a store that is new and empty. The time is from the start of draining to the last deletion, the
memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from standfast.journal.identity import Identity
from standfast.journal.writer import Writer

#: Whose journals are measured.
KINDS = {
    "wsgi": "WSGI workers",
    "asgi": "ASGI workers, whose code runs on after each response",
    "trouble": "WSGI workers, every third request slow or failed",
}
_AGENT = b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def write_journals(folder: str, requests: int, workers: int, kind: str) -> int:
    """Journals of ``workers`` dead workers; the bytes that they hold. ``kind`` is one
    of ``KINDS``."""
    bad = 1 / 3 if kind == "trouble" else 0.001
    chance = random.Random(1)
    for number in range(workers):
        # A boot that is not this one: the watcher knows at once that the worker is dead.
        identity = Identity("shop", "bench", 1000 + number, 1 + number, "another-boot", 0)
        writer = Writer(folder, identity)
        wall_ns = time.time_ns() - 600_000_000_000
        for _ in range(requests // workers):
            wall_ns += chance.randrange(200_000, 2_000_000)
            fields = b"\0".join((_client(chance), b"GET", _uri(chance), b"shop.test", b"", _AGENT))
            seq = writer.begin(fields, wall_ns, wall_ns, 139_637_976_000_000)
            luck = chance.random()
            duration_ns = int(chance.lognormvariate(16, 1))
            if luck < bad / 2:
                writer.end(seq, duration_ns, 500, 900, duration_ns // 2, b"ValueError: no\n" * 20)
            elif luck < bad:
                writer.end(seq, 2_000_000_000, 200, 5000, 1_000_000)
            elif luck < 0.99999:
                background_ns = 20_000 if kind == "asgi" else 0
                writer.end(seq, duration_ns, 200, 5000, background_ns=background_ns)
        writer.close()
    return sum(file.stat().st_size for file in Path(folder).rglob("*.journal"))


def _client(chance: random.Random) -> bytes:
    return b"192.0.2.%d" % chance.randrange(256)


def _uri(chance: random.Random) -> bytes:
    kind = chance.randrange(10)
    number = chance.randrange(1_000_000)
    if kind < 4:
        return b"/product/%d?ref=mail&page=%d" % (number, number % 7)
    if kind < 6:
        return b"/user/%d/order/%d" % (number, number * 7 % 1_000_000)
    if kind < 7:
        return b"/file/%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
    if kind < 9:
        return b"/search?q=word%d&sort=price" % number
    return b"/"


def drain(folder: str, store: str) -> None:
    """Drains in this process, pinned to one core; prints what it took as JSON."""
    from standfast.store import open_store
    from standfast.watch import watch

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    open_store(store).dispose()
    wall, cpu = time.perf_counter(), time.process_time()
    watcher = watch(folder, store, once=True)
    result = {
        "requests": watcher.requests,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "store_bytes": Path(store).stat().st_size,
    }
    print(json.dumps(result))


def main() -> None:
    """Writes, drains, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kind", choices=tuple(KINDS), default="wsgi")
    parser.add_argument("--folder", help="where to write; a temporary folder if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--drain", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        drain(*options.drain)
        return
    place = tempfile.mkdtemp(dir=options.folder)
    try:
        journal, store = f"{place}/journal", f"{place}/store.db"
        size = write_journals(journal, options.requests, options.workers, options.kind)
        command = [sys.executable, __file__, "--drain", journal, store]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        shutil.rmtree(place)
    result = json.loads(child.stdout) | {"journal_bytes": size}
    result["requests_per_second"] = round(result["requests"] / result["seconds"])
    result["requests_per_cpu_second"] = round(result["requests"] / result["cpu_seconds"])
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['requests']:,} requests ({size / 2**20:,.0f} MiB of journals) in"
            f" {result['seconds']:.2f} s on one core: {result['requests_per_second']:,} requests/s"
            f" ({result['requests_per_cpu_second']:,} per second of processor time), peak"
            f" {result['peak_rss_mib']:.0f} MiB, store {result['store_bytes'] / 2**20:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
