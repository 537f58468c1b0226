"""Each real fault gets the verdict that it deserves, and the request that did it is named."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from standfast.diagnose.verdict import CAUSES, Verdict, verdicts
from standfast.store.evidence import facts_of
from standfast.store.tables import incident, request, worker
from standfast.watch import Settings
from tests.e2e.faults import FAULTS, Fault, Stage
from tests.e2e.servers.serving import serving
from tests.unit.watch.journals import House

DOCUMENT = Path(__file__).parents[2] / "docs" / "verdicts.md"
#: Logs, masters and the kernel take their time to tell; what comes late may not turn what is said.
PATIENCE_S = 5.0
AFTERWARDS_S = 1.0


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_verdict_names_the_true_cause(fault: Fault, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        words = stack.enter_context(fault.place(tmp_path)) if fault.place else []
        variables = {"HOME": str(tmp_path), **fault.variables}
        server = stack.enter_context(serving(*words, *fault.server.split(), variables=variables))
        settings: dict[str, Any] = {"server_logs": (str(server.log),), **fault.settings}
        if (tmp_path / "database").exists():
            port = (tmp_path / "database").read_text().split()[0]
            settings["database"] = f"tcp://127.0.0.1:{port}"
        house = House(server.journal.parent, Settings(poll_s=0.05, keep_ordinary_s=1e9, **settings))
        stack.callback(house.engine.dispose)
        stack.callback(house.watcher.close)
        stage = Stage(server, house, tmp_path)
        fault.do(stage)
        told = stage.until(lambda: house.rows(incident))[0]
        give_up = time.monotonic() + PATIENCE_S
        while _verdict(house).cause.name != fault.cause and time.monotonic() < give_up:
            stage.watch(0.2)
        stage.watch(AFTERWARDS_S)
        verdict = _verdict(house)
        seen = _story(house, told.worker_id)
        assert (verdict.cause.name, verdict.party) == (fault.cause, CAUSES[fault.cause].party), seen
        assert verdict.confidence >= 0.5, seen
        if fault.culprit:
            names = {f"{row.worker_id}-{row.seq}": row.uri for row in house.rows(request)}
            uid = house.row(worker, id=told.worker_id).uid
            named = (verdict.culprit or "").replace(uid, str(told.worker_id))
            assert names.get(named) == fault.culprit.format(folder=tmp_path), seen


def _verdict(house: House) -> Verdict:
    """What is said of the first incident by now."""
    number = house.rows(incident)[0].id
    return verdicts(house.engine, [number])[number]


def _story(house: House, worker_id: int) -> str:
    """All that was seen, for the reader of a failure."""
    with house.engine.connect() as connection:
        facts = facts_of(connection, [worker_id])[worker_id]
    return "\n".join(
        f"{one.kind} ({one.source}) {one.text[:300]} {dict(one.data)}"[:600] for one in facts
    )


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_published_table_has_every_fault_with_its_cause(fault: Fault) -> None:
    assert f"| {fault.name} | `{fault.cause}` |" in DOCUMENT.read_text(encoding="utf-8")
