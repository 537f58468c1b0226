"""Runs one drill and prints what came of it: status 1 where anything was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.cluster.conftest import site_in
from tests.e2e.cluster.machines import install

from .drill import drill


def main() -> int:
    """One drill from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drill")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--topology", choices=["mesh", "ring"], default="mesh")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name, "empty")
        install(empty)
        with site_in(Path(name), empty) as machines:
            begun = time.monotonic()

            def say(words: str) -> None:
                print(f"{time.monotonic() - begun:7.1f} s  {words}", file=sys.stderr, flush=True)

            found = drill(machines, given.topology, given.seconds, given.seed, say)
    for fault, times in sorted(found.faults.items()):
        print(f"{times:6,}  {fault}")
    print(f"{found.rejoined:6,}  servers that joined anew")
    print(f"{found.past_holes:6,}  links brought past a hole")
    print(f"{found.acknowledged:6,}  writes acknowledged")
    print(
        f"{len(found.kept):6,}  of them in the file of a server that joined anew, and there alone"
    )
    print(f"{len(found.missing):6,}  on some servers and not on others")
    print(f"{len(found.lost):6,}  lost")
    print(f"{found.doubled:6,}  doubled")
    print(f"{found.level_s:6.1f}  s until all were alike after the last fault")
    for words in [*found.unhealed, *sorted(found.lost)[:9], *sorted(found.missing)[:9]]:
        print(f"        {words}")
    return 0 if found.well else 1


if __name__ == "__main__":
    raise SystemExit(main())
