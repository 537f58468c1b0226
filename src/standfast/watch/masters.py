"""What pre-forking masters say of their workers, and the workers that only they have seen.

A master's word may come before, after or without the journal of the worker that it is about. A
worker that dies before its first request has no journal: the word of its master is all there is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, select, update

from standfast.journal import identity
from standfast.journal.format import (
    APPLICATION,
    FAILURE,
    RECYCLE,
    RELOAD,
    SCALE,
    STOP,
    TIMEOUT,
    Exit,
    Signal,
)
from standfast.store import evidence
from standfast.store.dialect import insert_new
from standfast.store.evidence import Fact, Source, add_facts
from standfast.store.tables import application, incident, pending_exit, pending_signal, worker

from .deaths import conclude, is_bad_end
from .evidence import Death
from .facts import exit_fact, signal_name
from .liveness import Process
from .loading import was_loading
from .rollups import Rollups

_NAMES = ("application_id", "host", "boot_id", "pid_namespace")
_PENDING = (pending_exit, pending_signal)
#: uvicorn starts a worker that cannot be loaded anew twice a second, for as long as it takes.
_FAILURES_AN_HOUR = 100
_HOUR_NS = 3_600_000_000_000
_REASONS = {
    STOP: "stop",
    RELOAD: "reload",
    SCALE: "scale",
    RECYCLE: "recycle",
    FAILURE: "failure",
    APPLICATION: "application",
}
_WORDS = {
    "stop": "as the server was told to stop",
    "reload": "as the server was told to reload",
    "scale": "as the server was told to do with fewer workers",
    "recycle": "as it has served as many requests as the server's settings allow",
    "failure": "as another worker had failed, and the server stops because of that",
    "other": "and does not say why",
}


def store_said(
    connection: Connection,
    said: Collection[tuple[int, Exit | Signal]],
    reading: Collection[int],
    rollups: Rollups,
) -> bool:
    """Enters what masters say, given with the number of the master's own row.

    ``reading`` are the workers whose journals are still being read: those are not concluded yet.
    Says whether a worker has died of which nothing else is known so far: see ``settle``.
    """
    waiting = False
    masters = {one for one, word in said if isinstance(word, Exit) and word.worker}
    for one in sorted(masters):
        connection.execute(update(worker).where(worker.c.id == one).values(master=True))
    for reporter_id, word in said:
        if isinstance(word, Signal) and word.reason == APPLICATION:
            # Whomever it was sent to: it is this process that did it.
            _enter(connection, reporter_id, reporter_id, word)
            continue
        worker_id = connection.execute(
            select(worker.c.id).where(_child_of(reporter_id, word.pid, word.start_ticks))
        ).scalar()
        if worker_id is None:
            table = pending_exit if isinstance(word, Exit) else pending_signal
            insert = insert_new(connection, table)
            connection.execute(insert, {"reporter_id": reporter_id, **word._asdict()})
            waiting = waiting or (isinstance(word, Exit) and word.worker)
            continue
        _enter(connection, worker_id, reporter_id, word)
        if isinstance(word, Exit) and worker_id not in reading:
            conclude(connection, worker_id, rollups)
    return waiting


def apply_pending(connection: Connection, worker_id: int) -> None:
    """Enters what a master had said of this worker before anybody knew it."""
    new = connection.execute(select(worker).where(worker.c.id == worker_id)).one()
    beside = [worker.c[name] == getattr(new, name) for name in _NAMES]
    for table in _PENDING:
        # From what was said to who said it: a host has had many workers.
        mine = (
            (table.c.pid == new.pid)
            & (table.c.start_ticks == new.start_ticks)
            & exists().where(worker.c.id == table.c.reporter_id, *beside)
        )
        rows = connection.execute(select(table).where(mine)).all()
        for row in rows:
            _enter(connection, worker_id, row.reporter_id, _word(row))
        if rows:
            connection.execute(delete(table).where(mine))


def settle(
    connection: Connection, reporters: Mapping[int, int | None], rollups: Rollups, journal: str
) -> list[Death]:
    """Makes rows and incidents of workers that died badly and have left no journal.

    ``reporters`` are the rows of masters, each with the user to whom its journal belongs.
    To be called when the journal folder has been looked through after the words of these masters
    were stored: a journal that is not there by then will never be. Of a server that starts its
    workers again and again, the first of each hour are told.
    """
    wanted = (
        select(
            pending_exit,
            *[worker.c[name] for name in (*_NAMES, "server", "revision")],
            application.c.name.label("app"),
        )
        .join(worker, worker.c.id == pending_exit.c.reporter_id)
        .join(application, application.c.id == worker.c.application_id)
        .where(pending_exit.c.worker, pending_exit.c.reporter_id.in_(reporters))
    )
    found = []
    for row in connection.execute(wanted).all():
        ended = exit_fact(Source.MASTER, row.wall_ns, row.pid, row.code)
        if is_bad_end(ended.data.get("signal"), ended.data.get("exit_code")):
            uid = identity.worker_uid(row.host, row.boot_id, row.pid, row.start_ticks)
            same = (worker.c.uid == uid) & (worker.c.application_id == row.application_id)
            if _failures_before(connection, row) >= _FAILURES_AN_HOUR:
                _drop(connection, row)
            elif connection.execute(select(worker.c.id).where(same)).first() is None:
                owner = reporters[row.reporter_id]
                loading = was_loading(journal, row.app, uid)
                found.append(
                    _start_failure(connection, row, uid, ended, owner, rollups, loading=loading)
                )
    return found


def forget(connection: Connection, reporter_id: int) -> None:
    """Drops what a dead master said of children that nobody else knows."""
    for table in _PENDING:
        connection.execute(delete(table).where(table.c.reporter_id == reporter_id))


def _start_failure(
    connection: Connection,
    row: Row[Any],
    uid: str,
    ended: Fact,
    owner: int | None,
    rollups: Rollups,
    *,
    loading: bool,
) -> Death:
    started_ns = _started_ns(row)
    made = connection.execute(
        worker.insert().values(
            uid=uid,
            pid=row.pid,
            start_ticks=row.start_ticks,
            started_ns=started_ns or row.wall_ns,
            last_seen_ns=row.wall_ns,
            **{name: getattr(row, name) for name in (*_NAMES, "server", "revision")},
        )
    )
    worker_id: int = (made.inserted_primary_key or (0,))[0]
    data = dict(ended.data)
    words = f"{ended.text} before it had served any request"
    if loading:
        data["loading"] = True
        words = f"{ended.text} before it had loaded its application"
    elif not row.recorded:
        words = f"{ended.text}; its requests are none that can be recorded"
    if started_ns is not None:
        data["age_s"] = round((row.wall_ns - started_ns) / 1e9, 2)
        words += f", {data['age_s']:g} s after its start"
    is_start = row.recorded or loading
    kind = evidence.START_FAILURE if is_start else evidence.UNRECORDED
    fact = Fact(kind, Source.MASTER, row.wall_ns, words, data)
    apply_pending(connection, worker_id)
    add_facts(connection, worker_id, [fact])
    conclude(connection, worker_id, rollups)
    process = Process(
        row.host, row.boot_id, row.pid_namespace, row.pid, row.start_ticks, owner=owner
    )
    here = row.pid_namespace in (identity.pid_namespace(), 0)
    alive_ns = started_ns or row.wall_ns
    pid = row.pid if here else None
    return Death(worker_id, process, pid, alive_ns, row.wall_ns, is_proven=owner in (None, 0))


def _failures_before(connection: Connection, row: Row[Any]) -> int:
    """How many workers of this application died without a journal in the hour before."""
    recent = (incident.c.application_id == row.application_id) & incident.c.died_ns.between(
        row.wall_ns - _HOUR_NS, row.wall_ns
    )
    unread = (worker.c.read_segment == 1) & (worker.c.read_offset == 0)
    count = (
        select(func.count())
        .select_from(incident)
        .join(worker, worker.c.id == incident.c.worker_id)
        .where(recent, unread)
    )
    return connection.execute(count).scalar() or 0


def _drop(connection: Connection, row: Row[Any]) -> None:
    for table in _PENDING:
        said = (
            (table.c.reporter_id == row.reporter_id)
            & (table.c.pid == row.pid)
            & (table.c.start_ticks == row.start_ticks)
        )
        connection.execute(delete(table).where(said))


def _started_ns(row: Row[Any]) -> int | None:
    """When the process started, if that was since this host was."""
    if row.boot_id != identity.boot_id():
        return None
    booted_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    started_ns = booted_ns + row.start_ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return min(started_ns, row.wall_ns) if row.start_ticks else None


def _word(row: Row[Any]) -> Exit | Signal:
    if hasattr(row, "code"):
        return Exit(row.wall_ns, row.start_ticks, row.pid, row.code, row.worker, row.recorded)
    return Signal(row.wall_ns, row.start_ticks, row.pid, row.signal, row.reason, row.timeout_ns)


def _enter(connection: Connection, worker_id: int, reporter_id: int, word: Exit | Signal) -> None:
    """What the master says of a child's end counts before what others say."""
    if isinstance(word, Signal):
        add_facts(connection, worker_id, [_signal_fact(connection, reporter_id, word)])
        return
    fact = exit_fact(Source.MASTER, word.wall_ns, word.pid, word.code)
    add_facts(connection, worker_id, [fact])
    connection.execute(
        update(worker)
        .where(worker.c.id == worker_id)
        .values(
            died_ns=word.wall_ns,
            signal=fact.data.get("signal"),
            exit_code=fact.data.get("exit_code"),
        )
    )


def _signal_fact(connection: Connection, reporter_id: int, word: Signal) -> Fact:
    reporter_pid = connection.execute(
        select(worker.c.pid).where(worker.c.id == reporter_id)
    ).scalar()
    data: dict[str, Any] = {"signal": signal_name(word.signal)} if word.signal else {}
    if word.timeout_ns is not None:
        data["timeout_s"] = word.timeout_ns / 1e9
    name = signal_name(word.signal)
    words = f"the master (pid {reporter_pid}) sent {name} to its worker"
    words += f" {word.pid}"
    if word.reason == TIMEOUT:
        words += ", which had given no sign of life for longer than it may"
        words += f" ({data['timeout_s']:g} s)" if "timeout_s" in data else ""
        return Fact(evidence.TIMEOUT, Source.MASTER, word.wall_ns, words, data)
    data["reason"] = _REASONS.get(word.reason, "other")
    if word.pid == reporter_pid and word.reason == STOP:
        words = f"the server in process {word.pid} was told to stop by {name}"
        return Fact(evidence.MASTER_SIGNAL, Source.JOURNAL, word.wall_ns, words, data)
    if data["reason"] == "application":
        data["sender_pid"] = reporter_pid
        if not word.signal:
            words = f"the application's own code had process {word.pid} go on as another program"
            return Fact(evidence.MASTER_SIGNAL, Source.JOURNAL, word.wall_ns, words, data)
        whom = "itself" if word.pid == reporter_pid else f"its parent {word.pid}"
        words = f"the application's own code in process {reporter_pid} sent {name} to"
        return Fact(evidence.MASTER_SIGNAL, Source.JOURNAL, word.wall_ns, f"{words} {whom}", data)
    if not word.signal:
        words = f"worker {word.pid} began to end by itself"
    words += f", {_WORDS[data['reason']]}"
    if "timeout_s" in data:
        words += f"; it had {data['timeout_s']:g} s to end by itself"
    return Fact(evidence.MASTER_SIGNAL, Source.MASTER, word.wall_ns, words, data)


def _child_of(reporter_id: int, pid: int, start_ticks: int) -> ColumnElement[bool]:
    """The worker of that pid and start where its master ran: pids are its master's words."""
    master = worker.alias("master")
    same = [worker.c[name] == master.c[name] for name in _NAMES]
    exists = select(master.c.id).where(master.c.id == reporter_id, *same).exists()
    return exists & (worker.c.pid == pid) & (worker.c.start_ticks == start_ticks)
