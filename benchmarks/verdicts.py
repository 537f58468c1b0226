"""How often the verdict on a real fault is right: every fault many times, quiet and under load.

``python -m benchmarks.verdicts`` brings each of the faults of ``tests/e2e/faults`` about ten times
(every second time beside processes that compute all the time) and writes the table of
docs/verdicts.md. With ``--keep FILE`` what each run gave is added to a file, and the table is made
of all that is in it: a long one can be made in parts. As root: cgroups and small disks are made.
It takes about 50 minutes with ``--jobs 4`` and ten runs on two processors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standfast.diagnose.verdict import CAUSES
from tests.e2e.faults import FAULTS, Fault
from tests.e2e.faults.trial import bring_about, load

DOCUMENT = Path(__file__).parents[1] / "docs" / "verdicts.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
_LOAD_PROCESSES = 4
#: By the fault's place in ``FAULTS``.
Results = dict[int, list[dict[str, object]]]
_LIMIT_S = 180
_HEAD = (
    "| fault | `cause` | whose it is | party right | cause right | request named |"
    " certain and wrong |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> int:
    """Runs the faults that were asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=4, help="so many at the same time")
    parser.add_argument("--keep", type=Path, help="a file of earlier runs, which is added to")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--print", action="store_true", help="print the table, write nothing")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--loaded", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        return _one(FAULTS[arguments.one], arguments.loaded)
    chosen = [n for n, fault in enumerate(FAULTS) if arguments.only in fault.name]
    results = _kept(arguments.keep)
    _all(chosen, arguments.runs, arguments.jobs, results, arguments.keep)
    table = "\n".join([_HEAD, *[_row(FAULTS[n], results[n]) for n in chosen]])
    if arguments.print or arguments.only:
        print(table)
    else:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    return 0


def _kept(file: Path | None) -> Results:
    """What earlier runs gave, by fault."""
    found: Results = defaultdict(list)
    numbers = {fault.name: n for n, fault in enumerate(FAULTS)}
    if file is not None and file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            name, answer = json.loads(line)
            found[numbers[name]].append(answer)
    return found


def _all(chosen: Sequence[int], runs: int, jobs: int, results: Results, keep: Path | None) -> None:
    """Adds to ``results`` what each run gives, and to the file; progress goes to stderr."""
    todo = [
        (n, (len(results[n]) + run) % 2 == 1)
        for run in range(runs)
        for n in chosen
        if len(results[n]) + run < runs
    ]
    with ThreadPoolExecutor(jobs) as pool:
        answers = pool.map(lambda one: (one[0], _apart(*one)), todo)
        for done, (n, answer) in enumerate(answers, 1):
            results[n].append(answer)
            if keep is not None:
                with keep.open("a", encoding="utf-8") as file:
                    print(json.dumps([FAULTS[n].name, answer]), file=file)
            wrong = "" if answer.get("cause_right") else f"  {answer.get('cause')}"
            print(f"{done} of {len(todo)}  {FAULTS[n].name}{wrong}", file=sys.stderr, flush=True)


def _apart(n: int, loaded: bool) -> dict[str, object]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.verdicts", "--one", str(n)]
    command += ["--loaded"] * loaded
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
        answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return answer
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return {"cause": "no verdict"}


def _one(fault: Fault, loaded: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="standfast-fault-") as folder:
        try:
            with load(_LOAD_PROCESSES * loaded):
                outcome = bring_about(fault, Path(folder))
        except (AssertionError, pytest.skip.Exception) as error:
            print(json.dumps({"cause": f"no verdict: {error}"[:200]}))
            return 1
        answer = {
            "cause": outcome.cause,
            "confidence": outcome.confidence,
            "culprit": outcome.culprit,
            "others": outcome.others,
            "party_right": outcome.is_right_party(fault),
            "cause_right": outcome.is_right_cause(fault),
            "culprit_right": outcome.is_right_culprit(fault, Path(folder)),
            "wrong": outcome.accuses_wrongly(fault),
        }
    print(json.dumps(answer))
    return 0


def _row(fault: Fault, answers: Sequence[dict[str, object]]) -> str:
    def count(key: str) -> str:
        return f"{sum(bool(answer.get(key)) for answer in answers)} of {len(answers)}"

    named = f"`{fault.culprit}` {count('culprit_right')}" if fault.culprit else "none did it"
    named = named.replace("{folder}", "…")
    if fault.unnamed:
        named = f"nobody: {fault.unnamed}"
    return (
        f"| {fault.name} | `{fault.cause}` | {CAUSES[fault.cause].party} | {count('party_right')}"
        f" | {count('cause_right')} | {named} | {count('wrong')} |"
    )


if __name__ == "__main__":
    sys.exit(main())
