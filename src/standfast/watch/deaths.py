"""How a worker ended, what it left unfinished, and whether that is an incident.

Every step may be taken again: the watcher may be killed between any two of them, and the word
of a pre-forking master may come before, after or instead of what the watcher saw itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from standfast.journal.format import Exit
from standfast.store.evidence import EXIT, Fact, add_facts
from standfast.store.tables import (
    DEATH,
    FAILED,
    OPEN,
    UNFINISHED,
    incident,
    pending_exit,
    request,
    worker,
)

from .facts import exit_fact, traceback_fact
from .outcome import ABORTED_WAIT_NS
from .rollups import Rollups

#: Signals that ask a process to stop or to do something; dying of one is no incident by itself.
_ORDERLY = frozenset({"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"})
_NAMES = ("application_id", "host", "boot_id", "pid_namespace")


def store_exits(
    connection: Connection,
    exits: Collection[tuple[int, Exit]],
    reading: Collection[int],
    rollups: Rollups,
) -> None:
    """Enters what masters saw of their children, given with the number of the master's own row.

    ``reading`` are the workers whose journals are still being read: those are not concluded yet.
    """
    for reporter_id, seen in exits:
        worker_id = connection.execute(
            select(worker.c.id).where(_child_of(reporter_id, seen.pid, seen.start_ticks))
        ).scalar()
        if worker_id is None:
            insert = pending_exit.insert().prefix_with("OR IGNORE", dialect="sqlite")
            connection.execute(insert, {"reporter_id": reporter_id, **seen._asdict()})
            continue
        _enter(connection, worker_id, seen)
        if worker_id not in reading:
            conclude(connection, worker_id, rollups)


def apply_pending_exit(connection: Connection, worker_id: int) -> None:
    """Enters what a master had said of this worker before anybody knew it."""
    new = connection.execute(select(worker).where(worker.c.id == worker_id)).one()
    masters = select(worker.c.id).where(*[worker.c[name] == getattr(new, name) for name in _NAMES])
    said = (
        pending_exit.c.reporter_id.in_(masters)
        & (pending_exit.c.pid == new.pid)
        & (pending_exit.c.start_ticks == new.start_ticks)
    )
    row = connection.execute(select(pending_exit).where(said)).first()
    if row is not None:
        _enter(connection, worker_id, Exit(row.wall_ns, row.start_ticks, row.pid, row.code))
        connection.execute(delete(pending_exit).where(said))


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
        add_facts(connection, worker_id, [crash])
        if row.signal is None and row.exit_code is None:
            values["signal"] = crash.data.get("signal")
    if values:
        connection.execute(update(worker).where(worker.c.id == worker_id).values(values))
    # Its children's journals were known before its own was read to the end.
    connection.execute(delete(pending_exit).where(pending_exit.c.reporter_id == worker_id))
    learn(connection, worker_id, facts, rollups)


def learn(connection: Connection, worker_id: int, facts: Sequence[Fact], rollups: Rollups) -> None:
    """Enters facts about a dead worker and concludes it: anew, where that had been done."""
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
    unfinished = mine & (request.c.outcome == UNFINISHED)
    took_along = connection.execute(select(request.c.id).where(unfinished)).first()
    if took_along is None and not _is_bad(dead):
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
    connection.execute(update(request).where(unfinished).values(incident_id=incident_id))


def fail_aborted(
    connection: Connection, which: ColumnElement[bool], now_ns: int, rollups: Rollups
) -> None:
    """Requests that were torn out of the application, and the worker lived on: they failed."""
    torn = (request.c.outcome == OPEN) & request.c.aborted & which
    over = request.c.begun_ns + request.c.duration_ns < now_ns - ABORTED_WAIT_NS
    for row in connection.execute(select(request).where(torn, over)).all():
        connection.execute(update(request).where(request.c.id == row.id).values(outcome=FAILED))
        rollups.add(row.route_id, row.begun_ns, row.duration_ns, row.cpu_ns, row.sent, FAILED)


def _is_bad(dead: Row[Any]) -> bool:
    """Whether the known end of a worker is none that anybody asked for."""
    if dead.signal is not None:
        return dead.signal not in _ORDERLY
    return bool(dead.exit_code)


def _child_of(reporter_id: int, pid: int, start_ticks: int) -> ColumnElement[bool]:
    """The worker of that pid and start where its master ran: pids are its master's words."""
    master = worker.alias("master")
    same = [worker.c[name] == master.c[name] for name in _NAMES]
    exists = select(master.c.id).where(master.c.id == reporter_id, *same).exists()
    return exists & (worker.c.pid == pid) & (worker.c.start_ticks == start_ticks)


def _enter(connection: Connection, worker_id: int, seen: Exit) -> None:
    """What the master says of a child's end counts before what others say."""
    fact = exit_fact("master", seen.wall_ns, seen.pid, seen.code)
    add_facts(connection, worker_id, [fact])
    connection.execute(
        update(worker)
        .where(worker.c.id == worker_id)
        .values(
            died_ns=seen.wall_ns,
            signal=fact.data.get("signal"),
            exit_code=fact.data.get("exit_code"),
        )
    )
