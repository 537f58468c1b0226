"""The process that makes one ranking: weighing thousands of incidents would hold up every page.

It reads what is wanted as JSON from its standard input and writes the pickled ``Ranked`` to its
standard output. Whoever started it may kill it at any time.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Engine

from standfast.diagnose.suspects import Ranking, rank
from standfast.diagnose.traffic import traffic
from standfast.store import open_store
from standfast.store.period import Period

#: Pages come first where processors are few.
_NICE = 5
_SUSPECTS = 50


@dataclass(frozen=True)
class Ranked:
    """A ranking, None where there is nobody to suspect. ``culprits`` has by incident and request
    (their numbers in the store) the probability that this request was it."""

    ranking: Ranking | None
    incidents: int
    culprits: dict[int, dict[int, float]]
    made_ns: int


class Wanted(NamedTuple):
    """Which ranking: of the application of this name, over a period, without the incidents that
    no request has caused; ``culprits`` are the requests that the verdicts name, by incident."""

    app: str
    period: Period
    excluded: Sequence[int]
    culprits: Mapping[int, tuple[str, float]]


def start() -> subprocess.Popen[bytes]:
    """Starts the process. It is no part of our group: who stops the server with the keyboard does
    not stop it as well, the server does."""
    command = [sys.executable, "-P", "-c", "from standfast.web.ranker import main; main()"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)


def talk(child: subprocess.Popen[bytes], engine: Engine, wanted: Wanted) -> Ranked:
    """Waits for the ranking. Raises RuntimeError where the process ends without one."""
    store = engine.url.render_as_string(hide_password=False)
    with child:
        answer, _ = child.communicate(json.dumps([store, *wanted]).encode())
    if child.returncode:
        raise RuntimeError(f"the ranking's process ended with {child.returncode}")
    ranked: Ranked = pickle.loads(answer)  # noqa: S301 - our own process wrote it
    return ranked


def make(engine: Engine, wanted: Wanted) -> Ranked:
    """Makes a ranking here and now."""
    found = traffic(engine, *wanted)
    if found is None:
        return Ranked(None, 0, {}, time.time_ns())
    ranking = rank(found.incidents, found.exposure, limit=_SUSPECTS)
    culprits = {
        incident_id: dict(zip(requests, probabilities, strict=True))
        for (incident_id, requests), probabilities in zip(found.ids, ranking.culprits, strict=True)
    }
    return Ranked(ranking, len(found.incidents), culprits, time.time_ns())


def main() -> None:
    """One ranking, from the standard input to the standard output."""
    os.nice(_NICE)
    store, app, period, excluded, culprits = json.load(sys.stdin)
    engine = open_store(store, create=False, update=False)
    # JSON has text for keys.
    known = {int(number): (name, probability) for number, (name, probability) in culprits.items()}
    ranked = make(engine, Wanted(app, Period(*period), excluded, known))
    sys.stdout.buffer.write(pickle.dumps(ranked))
