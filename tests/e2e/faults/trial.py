"""One fault, brought about once, and what was said of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standfast.diagnose.verdict import CAUSES, verdicts
from standfast.store.evidence import facts_of
from standfast.store.tables import incident, request, worker
from standfast.watch import Settings
from tests.e2e.servers.serving import serving
from tests.unit.watch.journals import House

from .servers import SERVERS
from .stage import Fault, Stage

#: Logs, masters and the kernel take their time to tell; what comes late may not turn what is said.
PATIENCE_S = 20.0
AFTERWARDS_S = 1.0
CERTAIN = 0.99
_LOAD = "import time\nend = time.monotonic() + 90\nwhile time.monotonic() < end: pass"


@dataclass(frozen=True)
class Outcome:
    """What was said of a fault: ``culprit`` is a URI; ``others`` are (cause, confidence) of the
    further incidents that came of it; ``seen`` is all evidence, for the reader of a failure."""

    cause: str
    confidence: float
    culprit: str | None
    others: tuple[tuple[str, float], ...]
    seen: str

    def is_right_party(self, fault: Fault) -> bool:
        """Whether the fault was laid to whose it is."""
        return CAUSES[self.cause].party == CAUSES[fault.cause].party

    def is_right_cause(self, fault: Fault) -> bool:
        """Whether the cause is the true one."""
        return self.cause in (fault.cause, *fault.also)

    def is_right_culprit(self, fault: Fault, folder: Path) -> bool:
        """Whether the request was named that did it, or nobody, where that cannot be known."""
        wanted = fault.culprit.format(folder=folder) if fault.culprit else None
        return self.culprit == wanted or bool(fault.unnamed and self.culprit is None)

    def accuses_wrongly(self, fault: Fault) -> bool:
        """Whether any incident was laid with certainty to somebody whose it is not."""
        party = CAUSES[fault.cause].party
        said = [(self.cause, self.confidence), *self.others]
        return any(CAUSES[cause].party != party and sure >= CERTAIN for cause, sure in said)


def bring_about(fault: Fault, folder: Path) -> Outcome:
    """Starts the fault's server, does the harm, and waits for what the watcher makes of it."""
    with contextlib.ExitStack() as stack:
        words = stack.enter_context(fault.place(folder)) if fault.place else []
        variables = {"HOME": str(folder), **fault.variables}
        command = SERVERS[fault.server].split()
        server = stack.enter_context(serving(*words, *command, variables=variables))
        settings: dict[str, Any] = {"server_logs": (str(server.log),), **fault.settings}
        if (folder / "database").exists():
            port = (folder / "database").read_text().split()[0]
            settings["database"] = f"tcp://127.0.0.1:{port}"
        house = House(server.journal.parent, Settings(poll_s=0.05, keep_ordinary_s=1e9, **settings))
        stack.callback(house.engine.dispose)
        stack.callback(house.watcher.close)
        stage = Stage(server, house, folder)
        stack.callback(stage.close)
        fault.do(stage)
        stage.until(stage.incidents)
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            said = _outcome(house, fault, folder)
            if said.is_right_cause(fault) and said.is_right_culprit(fault, folder):
                break
            stage.watch(0.2)
        stage.watch(AFTERWARDS_S)
        return _outcome(house, fault, folder)


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Other processes that compute all the time, for 90 seconds at most."""
    busy = [subprocess.Popen([sys.executable, "-c", _LOAD]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _outcome(house: House, fault: Fault, folder: Path) -> Outcome:
    rows = house.rows(incident)
    requests = house.rows(request)
    wanted = fault.culprit.format(folder=folder) if fault.culprit else None
    taken = {row.incident_id for row in requests if row.uri == wanted and row.incident_id}
    main = next((row for row in rows if row.id in taken), rows[0])
    said = verdicts(house.engine, [row.id for row in rows])
    uid = house.row(worker, id=main.worker_id).uid
    names = {f"{uid}-{row.seq}": row.uri for row in requests if row.worker_id == main.worker_id}
    verdict = said[main.id]
    others = tuple(
        (said[row.id].cause.name, said[row.id].confidence) for row in rows if row.id != main.id
    )
    return Outcome(
        verdict.cause.name,
        verdict.confidence,
        names.get(verdict.culprit or ""),
        others,
        _story(house, main.worker_id),
    )


def _story(house: House, worker_id: int) -> str:
    """All that was seen."""
    with house.engine.connect() as connection:
        facts = facts_of(connection, [worker_id])[worker_id]
    return "\n".join(
        f"{one.kind} ({one.source}) {one.text[:300]} {dict(one.data)}"[:600] for one in facts
    )
