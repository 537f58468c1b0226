"""``python -m benchmarks``: measures everything and writes docs/benchmarks.md.

A whole run takes about six minutes. With ``--quick`` or ``--only`` nothing is written: the tables
go to the screen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import cost, ingest, parts, pythons, survivors
from .children import ROOT
from .machine import describe
from .page import Report, page
from .peers import PEERS

PARTS = (*cost.KINDS, "pythons", "survivors", "ingest")
_PAGE = ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes; returns the exit code."""
    options = _parser().parse_args(arguments)
    if not options.python.exists():
        print(f"{options.python} is not there: `make bench` builds it", file=sys.stderr)
        return 2
    only = options.only or []
    wanted = [part for part in PARTS if part in only] or [
        # Nothing but peers named: then whatever concerns a peer.
        part
        for part in PARTS
        if part not in ("ingest", "pythons") or not only
    ]
    names = [name for name in PEERS if name in only] or list(PEERS)
    report = _measure(options.python, wanted, names, options.quick)
    if options.json:
        options.json.write_text(json.dumps(_as_json(report), indent=2) + "\n")
    if only or options.quick:
        print(page(report))
    else:
        _PAGE.parent.mkdir(exist_ok=True)
        _PAGE.write_text(page(report))
        _say(f"written: {_PAGE.relative_to(ROOT)}")
    return 0


def _measure(python: Path, wanted: list[str], names: list[str], quick: bool) -> Report:
    machine = describe()
    kinds = [kind for kind in cost.KINDS if kind in wanted]
    # The other costs are told as multiples of Standfast's.
    timed = list(dict.fromkeys(["standfast", *names]))
    passes, seconds = (1, 0.8) if quick else (3, 1.5)
    costs = cost.measure(python, timed, kinds, passes, seconds, _say) if kinds else []
    held: list[survivors.Survivor] = []
    if "survivors" in wanted:
        deaths = list(survivors.DEATHS)[: 1 if quick else None]
        held = survivors.measure(python, names, deaths, _say)
    requests = 100_000 if quick else 1_000_000
    figures = [_ingest(kind, requests) for kind in ingest.KINDS] if "ingest" in wanted else []
    under = pythons.measure(seconds, _say) if "pythons" in wanted else []
    told_apart = parts.measure() if "pythons" in wanted else []
    return Report(machine, costs, held, figures, under, told_apart)


def _ingest(kind: str, requests: int) -> dict[str, Any]:
    _say(f"ingest: {requests:,} requests of {ingest.KINDS[kind]}")
    ran = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "ingest.py"),
            "--json",
            f"--requests={requests}",
            f"--kind={kind}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["it failed without a word"])[-1]
        return {"kind": kind, "skipped": reason}
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures | {"kind": kind}


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "machine": report.machine._asdict(),
        "costs": [vars(row) for row in report.costs],
        "survivors": [vars(row) for row in report.survivors],
        "pythons": [
            {"version": row.build.version, "built": row.build.origin}
            | {"wsgi_us": row.wsgi_us, "asgi_us": row.asgi_us}
            for row in report.pythons
        ],
        "ingest": [dict(figures) for figures in report.ingest],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough run of one or two minutes")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[*PARTS, *PEERS],
        help=f"measure this alone; may be repeated. Parts: {', '.join(PARTS)}. "
        f"Peers: {', '.join(PEERS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument(
        "--python",
        type=Path,
        metavar="FILE",
        default=ROOT / ".venv-bench" / "bin" / "python",
        help="the Python that the peers are installed in",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
