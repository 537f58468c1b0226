"""How a worker ended, what it left unfinished, and whether that is an incident.

Every step may be taken again: the watcher may be killed between any two of them, and the word
of a pre-forking master may come before, after or instead of what the watcher saw itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from standfast.store.evidence import EXIT, MASTER_SIGNAL, TIMEOUT, Fact, add_facts
from standfast.store.places import place
from standfast.store.tables import (
    DEATH,
    FAILED,
    OPEN,
    UNFINISHED,
    evidence,
    incident,
    request,
    worker,
)

from .facts import client_wait_fact, traceback_fact
from .outcome import ABORTED_WAIT_NS
from .rollups import Rollups
from .routes import give_routes_of_their_own

#: Signals that ask a process to stop or to do something; dying of one is no incident by itself.
_ORDERLY = frozenset({"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"})


def bury(
    connection: Connection,
    worker_id: int,
    rollups: Rollups,
    *,
    seen_ns: int | None,
    fault: str,
    fault_ns: int,
    facts: Sequence[Fact] = (),
) -> None:
    """Concludes a worker that is dead and whose journal has been read to its end.

    ``seen_ns`` is when the watcher saw it die, None if it was dead already; ``fault`` is the
    traceback of a fatal signal, written at ``fault_ns``; ``facts`` are what else was seen.
    """
    row = connection.execute(select(worker).where(worker.c.id == worker_id)).one()
    crash = traceback_fact(fault, fault_ns)
    values: dict[str, Any] = {}
    if row.died_ns is None:
        values["died_ns"] = (fault_ns if crash else None) or seen_ns or row.last_seen_ns
    if fault:
        values["fault"] = fault
    if crash:
        waited = client_wait_fact(fault, fault_ns)
        add_facts(connection, worker_id, [crash, *([waited] if waited else [])])
        if row.signal is None and row.exit_code is None:
            values["signal"] = crash.data.get("signal")
    if values:
        connection.execute(update(worker).where(worker.c.id == worker_id).values(values))
    learn(connection, worker_id, facts, rollups)


def learn(connection: Connection, worker_id: int, facts: Sequence[Fact], rollups: Rollups) -> None:
    """Enters facts about a dead worker and concludes it: anew, where that had been done. Nothing
    is left to learn of one that has left the store meanwhile."""
    if connection.execute(select(worker.c.id).where(worker.c.id == worker_id)).first() is None:
        return
    add_facts(connection, worker_id, facts)
    ended = next((fact.data for fact in facts if fact.kind == EXIT), None)
    if ended is not None:
        unknown = worker.c.signal.is_(None) & worker.c.exit_code.is_(None)
        connection.execute(
            update(worker)
            .where(worker.c.id == worker_id, unknown)
            .values(signal=ended.get("signal"), exit_code=ended.get("exit_code"))
        )
    conclude(connection, worker_id, rollups)


def conclude(connection: Connection, worker_id: int, rollups: Rollups) -> None:
    """What a dead worker had open becomes unfinished; its incident is made or set right."""
    dead = connection.execute(select(worker).where(worker.c.id == worker_id)).one()
    if dead.died_ns is None:
        return
    mine = request.c.worker_id == worker_id
    fail_aborted(connection, mine, dead.died_ns, rollups)
    connection.execute(
        update(request).where(mine, request.c.outcome == OPEN).values(outcome=UNFINISHED)
    )
    give_routes_of_their_own(connection, worker_id)
    unfinished = mine & (request.c.outcome == UNFINISHED)
    took_along = connection.execute(select(request.c.id).where(unfinished)).first()
    # A master that ends by itself does so for its workers, whose ends are told.
    is_followed = dead.master and dead.signal is None
    if took_along is None and (is_followed or not is_bad_end(dead.signal, dead.exit_code)):
        return
    incident_id = connection.execute(
        select(incident.c.id).where(incident.c.worker_id == worker_id)
    ).scalar()
    if incident_id is None:
        made = connection.execute(
            incident.insert().values(
                worker_id=worker_id, application_id=dead.application_id, died_ns=dead.died_ns
            )
        )
        (incident_id,) = made.inserted_primary_key or (None,)
    else:
        connection.execute(
            update(incident)
            .where(incident.c.id == incident_id)
            .values(died_ns=dead.died_ns, kind=DEATH)
        )
        # What hung earlier and went on was not taken along.
        gone_on = (request.c.incident_id == incident_id) & (request.c.outcome != UNFINISHED)
        connection.execute(update(request).where(gone_on).values(incident_id=None))
    connection.execute(update(request).where(unfinished).values(incident_id=incident_id))


def fail_aborted(
    connection: Connection, which: ColumnElement[bool], now_ns: int, rollups: Rollups
) -> None:
    """Requests that were torn out of the application, and the worker lived on: they failed.

    Not those of a worker that its master has told to end: it may take its time to end, when it
    waits for its other requests, and they are unfinished all the same.
    """
    told = select(evidence.c.id).where(
        evidence.c.worker_id == request.c.worker_id,
        evidence.c.kind.in_([TIMEOUT, MASTER_SIGNAL]),
    )
    torn = (request.c.outcome == OPEN) & request.c.aborted & which & ~told.exists()
    over = request.c.begun_ns + request.c.duration_ns < now_ns - ABORTED_WAIT_NS
    for row in connection.execute(select(request).where(torn, over)).all():
        where = place(row.error) if row.error else None
        failed = {"outcome": FAILED, "place": where}
        connection.execute(update(request).where(request.c.id == row.id).values(failed))
        rollups.add(row.route_id, row.begun_ns, row.duration_ns, row.cpu_ns, row.sent, FAILED)
        rollups.failures.add(row.application_id, where, row.status, row.begun_ns)


def is_bad_end(signal: str | None, exit_code: int | None) -> bool:
    """Whether the known end of a worker is none that anybody asked for."""
    if signal is not None:
        return signal not in _ORDERLY
    return bool(exit_code)
