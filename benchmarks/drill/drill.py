"""One fault after another while all servers are written to; each is healed as `heal` says."""

from __future__ import annotations

import contextlib
import gzip
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from standfast.cluster.database import Unsettled
from standfast.cluster.database.rejoin import rejoin
from standfast.cluster.remote import RemoteError
from tests.e2e.cluster.load import Load
from tests.e2e.cluster.machines import Machines

from .faults import FAULTS

Say = Callable[[str], None]
TABLE = "drill.rows_of"
_SAYS = "by: standfast cluster rejoin "
_ROUNDS = 12


@dataclass
class Outcome:
    """What became of the acknowledged writes. ``lost`` are on no server and in no file;
    ``missing`` on some servers only; ``kept`` in the file of a server that joined anew only."""

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    doubled: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rejoined: int = 0
    past_holes: int = 0
    level_s: float = 0.0
    unhealed: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return not (self.lost or self.missing or self.doubled or self.unhealed)


def drill(
    machines: Machines,
    topology: str,
    seconds: float,
    seed: int,
    say: Say,
    names: Sequence[str] = tuple(FAULTS),
) -> Outcome:
    """Three servers, for so many seconds at least; every fault once before any comes again, and
    none is left out."""
    chance = random.Random(seed)  # noqa: S311 - for a test
    machines.set_up(topology, 3, databases=["drill"])
    machines.settle(60)
    machines["one"].ask(
        f"CREATE TABLE {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, words VARCHAR(60))",
        "CREATE TABLE drill.noise (id INT AUTO_INCREMENT PRIMARY KEY)",
        # Root may write where nobody else may.
        "CREATE USER app@localhost IDENTIFIED BY 'app'",
        "GRANT ALL ON drill.* TO app@localhost",
    )
    machines.level(60)
    found, files = Outcome(), list[Path]()
    client = "mariadb --user=app --password=app"
    loads = [Load(machine, TABLE, client) for machine in machines.all.values()]
    until, round_of = time.monotonic() + seconds, chance.sample(names, len(names))
    try:
        while (round_of or time.monotonic() < until) and not found.unhealed:
            round_of = round_of or chance.sample(names, len(names))
            name = round_of.pop()
            say(name)
            FAULTS[name](machines, chance)
            found.faults[name] += 1
            _healed(machines, found, files, say)
    finally:
        for load in loads:
            load.end()
    begun = time.monotonic()
    _healed(machines, found, files, say)
    machines.level(60)
    found.level_s = time.monotonic() - begun
    _compare(machines, loads, files, found)
    return found


def _healed(machines: Machines, found: Outcome, files: list[Path], say: Say) -> None:
    """As an admin does it who carries out what `heal` says, until it says nothing more."""
    said: list[str] = []
    for _ in range(_ROUNDS):
        try:
            done = machines.settle(15)
        except Unsettled as error:
            said = str(error).splitlines()
            found.past_holes += _holes(error.done)
        except RemoteError as error:  # a link that is in motion
            said = [str(error)]
        else:
            found.past_holes += _holes(done)
            return
        for words in said:
            say(f"  {words}")
        named = [words.split(_SAYS)[1] for words in said if _SAYS in words]
        for name in named[:1]:
            file = machines.folder / f"{name}-{len(files)}.sql.gz"
            with contextlib.suppress(Unsettled):  # the next round says it
                rejoin(machines.site, machines.remotes, machines.vault, name, file, say)
            if file.exists():
                files.append(file)
                found.rejoined += 1
    found.unhealed = said


def _holes(done: list[str]) -> int:
    return sum("past a hole" in words for words in done)


def _compare(machines: Machines, loads: list[Load], files: list[Path], found: Outcome) -> None:
    written = {words for load in loads for words in load.acknowledged}
    found.acknowledged = len(written)
    there: list[set[str]] = []
    for machine in machines.all.values():
        rows = [row["words"] or "" for row in machine.ask(f"SELECT words FROM {TABLE}")[0]]
        there.append(set(rows))
        found.doubled += len(rows) - len(there[-1])
    saved: set[str] = set()
    for file in files:
        text = gzip.decompress(file.read_bytes()).decode()
        saved |= {words for words in written if f"'{words}'" in text}
    anywhere, everywhere = set[str]().union(*there), there[0].intersection(*there)
    nowhere = written - anywhere
    found.kept = nowhere & saved
    found.lost = nowhere - saved
    found.missing = anywhere - everywhere
