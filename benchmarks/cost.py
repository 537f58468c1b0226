"""The cost of a request: every peer, WSGI and ASGI, in fresh processes that take turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import children
from .mariadb import MARIADB_MISSING, mariadb
from .peers import PEERS, Peer, Place
from .sink import sink

KINDS = ("wsgi", "asgi")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Cost:
    """What a peer adds to a request, in microseconds, over ``rounds`` pairs of blocks.

    ``median_us``, ``low_us`` and ``high_us`` are quartiles, ``cpu_us`` is the median of the CPU
    time of all its threads; ``skipped`` says why there is nothing.
    """

    peer: str
    kind: str
    version: str = ""
    rounds: int = 0
    bare_us: float = 0.0
    median_us: float = 0.0
    low_us: float = 0.0
    high_us: float = 0.0
    mean_us: float = 0.0
    cpu_us: float = 0.0
    skipped: str = ""


def measure(
    python: Path,
    names: Iterable[str],
    kinds: Iterable[str],
    passes: int,
    seconds: float,
    say: Progress,
) -> list[Cost]:
    """The costs of the named peers. Each is measured ``passes`` times for about ``seconds``.

    All peers have their first turn before any has its second, so that a busy minute of the
    machine falls on all alike.
    """
    turns = [_Turns(PEERS[name], kind) for kind in kinds for name in names]
    turns = [turn for turn in turns if turn.kind in turn.peer.kinds]
    count = 0
    with (
        tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder,
        sink(keep=False) as taken,
        mariadb(Path(folder)) as database,
    ):
        for _ in range(passes):
            for turn in turns:
                count += 1
                if turn.skipped:
                    continue
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    _take(turn, python, seconds, Place(own, taken.url, database))
                result = turn.skipped or f"{turn.cost().median_us:.2f} µs"
                say(f"[{count}/{passes * len(turns)}] {turn.kind} {turn.peer.name}: {result}")
    return [turn.cost() for turn in turns]


@dataclass
class _Turns:
    """What a peer's processes have measured so far; ``load.Round`` describes the rounds."""

    peer: Peer
    kind: str
    version: str = ""
    rounds: list[list[float]] = field(default_factory=list)
    skipped: str = ""

    def cost(self) -> Cost:
        if self.skipped:
            return Cost(self.peer.name, self.kind, skipped=self.skipped)
        return summary(self.peer.name, self.kind, self.version, self.rounds)


def summary(peer: str, kind: str, version: str, rounds: list[list[float]]) -> Cost:
    """Medians and quartiles of the differences within pairs, which ``load.Round`` describes."""
    differences = [(wrapped - bare) / 1000 for bare, wrapped, _, _ in rounds]
    low, median, high = statistics.quantiles(differences, n=4, method="inclusive")
    return Cost(
        peer=peer,
        kind=kind,
        version=version,
        rounds=len(rounds),
        bare_us=statistics.median(bare for bare, *_ in rounds) / 1000,
        median_us=median,
        low_us=low,
        high_us=high,
        mean_us=statistics.fmean(differences),
        cpu_us=statistics.median((wrapped - bare) / 1000 for _, _, bare, wrapped in rounds),
    )


def _take(turn: _Turns, python: Path, seconds: float, place: Place) -> None:
    """One process of one peer."""
    if turn.peer.name == "mariadb" and not place.database:
        turn.skipped = MARIADB_MISSING
        return
    file = Path(place.folder) / "measured.json"
    arguments = (turn.peer.name, turn.kind, str(seconds), str(file))
    try:
        ran = subprocess.run(
            children.command(python, turn.peer, "benchmarks.load", *arguments),
            env=children.environ(python, turn.peer, place),
            cwd=children.ROOT,
            capture_output=True,
            timeout=seconds + 60.0,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        turn.skipped = str(error)
        return
    if not file.exists():
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        turn.skipped = " ".join(last) or f"ended with {ran.returncode}"
        return
    measured = json.loads(file.read_text())
    turn.skipped = measured.get("skipped", "")
    turn.version = measured.get("version", "")
    turn.rounds += measured.get("rounds", [])
