"""A server joins: it gets the data of one that is in already, and the position that belongs to it.

The copy is a consistent dump, streamed from server to server through this machine, which keeps
nothing of it. Until it is whole the target bears a mark (a database named as in
``JOINING_DATABASE``), so that a copy that was interrupted is known as such and begun anew; only a
server that was seen to be empty is ever marked, and only a marked one is written over. Two copies
never go into one target: whoever begins one ends what still loads there, and one whose lease is
lost ends by itself.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO

from standfast.errors import StandfastError

from ..remote import Remote, complaint
from ..status import heartbeat
from . import dump, gtid, sql
from .observe import JOINING_DATABASE, Seen, look

Say = Callable[[str], None]
_PIECE = 1 << 16
_SAY_EVERY_S = 2.0
_HOUR_S = 3600
#: Where the dump says at which position it was taken: at its end, older versions at its beginning.
_POSITION = re.compile(rb"^-- SET GLOBAL gtid_slave_pos='([0-9,\- ]*)';", re.MULTILINE)
#: So much of either end is looked at, in bytes.
_END = 1 << 13
_LOAD = f"exec {sql.CLIENT} --default-character-set=utf8mb4 --max-allowed-packet=1G"
# Of an event that is on all servers only its origin's runs; here none comes from this one.
_READERS = "SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'"
#: Sessions of root, whose one is asking: nobody else writes to a server that is being filled.
_LOADERS = (
    "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
    " AND user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"
)
_EVENTS_SLEEP = "UPDATE mysql.event SET status = 'SLAVESIDE_DISABLED' WHERE status = 'ENABLED'"


class CopyError(StandfastError):
    """A copy did not come to its end; another run begins it anew."""


def copy(source: Remote, target: Remote, seen: Seen, say: Say, check: Callable[[], None]) -> None:
    """Copies all databases and accounts of ``source`` to ``target``, and sets its position.

    ``seen`` is the target as observed: empty, or marked by an earlier copy. ``check`` is called
    again and again and raises where the target may not be changed any more. Raises CopyError, and
    RemoteError where a server is not reached.
    """
    names = dump.databases(source)
    if not look(seen.name, source).binlog_pos:
        # A position to begin at: anything that is logged and changes nothing.
        sql.ask(source, "FLUSH PRIVILEGES")
    _mark(target, seen)
    said = _stream(source, target, names, seen.name, say, check)
    check()
    _finish(target, said)


def _mark(target: Remote, seen: Seen) -> None:
    """The target is empty, and says that it is being filled. Nobody but root writes meanwhile."""
    if seen.holds_data and not seen.joining:
        raise CopyError(f"{seen.name} holds data of its own, which is not written over")
    quiet = ["STOP ALL SLAVES", "SET GLOBAL event_scheduler = OFF", "SET GLOBAL read_only = ON"]
    emptied = ["SET SESSION sql_log_bin = 0", *_emptied(target)]
    # An earlier copy whose run was cut off may still be loading.
    _end(target, _LOADERS)
    sql.ask(target, *quiet, *emptied, timeout_s=_HOUR_S)  # half a copy may be large


def _end(remote: Remote, which: str) -> None:
    """Ends the sessions that a query finds."""
    (rows,) = sql.ask(remote, which)
    for row in rows:
        with contextlib.suppress(sql.SqlError):  # one that is gone by now
            sql.ask(remote, f"KILL {int(row['id'] or 0)}")


def _emptied(target: Remote) -> list[str]:
    (rows,) = sql.ask(target, "SHOW DATABASES")
    names = [row["Database"] or "" for row in rows]
    return [
        f"CREATE DATABASE IF NOT EXISTS {JOINING_DATABASE}",
        *(f"DROP DATABASE {sql.name(n)}" for n in names if n not in dump.NOT_COPIED),
    ]


def _stream(
    source: Remote,
    target: Remote,
    names: list[str],
    to: str,
    say: Say,
    check: Callable[[], None],
) -> str:
    """Runs the dump into the target. Returns the position at which it was taken."""
    dumping = source.start(dump.command(names))
    load = target.start(_LOAD, subprocess.PIPE)
    complaints: dict[str, bytes] = {}
    listeners = [
        threading.Thread(target=_listen, args=(complaints, name, one.stderr), daemon=True)
        for name, one in (("dump", dumping), ("load", load))
    ]
    for listener in listeners:
        listener.start()
    try:
        ends = _pump(dumping, load, to, say, check)
        statuses = dumping.wait(60), load.wait(_HOUR_S)
    finally:
        for one in (dumping, load):
            if one.poll() is None:
                one.kill()
            one.wait()
    for listener in listeners:
        listener.join(5)
    if any(statuses):
        words = complaint(b"\n".join(complaints.values()))
        raise CopyError(f"the copy to {to} ended early: {words or 'no reason given'}")
    found = _POSITION.findall(ends)
    if not found:
        raise CopyError(f"the copy to {to} does not say at which position it was taken")
    return str(found[-1].decode())


def _pump(
    dumping: subprocess.Popen[bytes],
    load: subprocess.Popen[bytes],
    to: str,
    say: Say,
    check: Callable[[], None],
) -> bytes:
    """Everything from the one to the other; returns the beginning and the end of it. The position
    of a target is not set by the dump itself: it is a comment there."""
    assert dumping.stdout is not None and load.stdin is not None  # noqa: S101 - both are pipes
    head, tail, sent, said_at = b"", b"", 0, time.monotonic()
    try:
        # The target makes no note of what it is given: it comes with the position instead.
        load.stdin.write(b"SET SESSION sql_log_bin = 0;\n")
        while piece := dumping.stdout.read1(_PIECE):  # type: ignore[attr-defined]
            head += piece[: max(_END - len(head), 0)]
            tail = (tail + piece)[-_END:]
            load.stdin.write(piece)
            sent += len(piece)
            if time.monotonic() - said_at > _SAY_EVERY_S:
                check()
                said_at = time.monotonic()
                say(f"{to}: {sent / (1 << 20):,.1f} MiB copied")
        load.stdin.close()
    except BrokenPipeError:
        dumping.kill()  # the target said why
    say(f"{to}: {sent / (1 << 20):,.1f} MiB copied in all")
    return head + tail


def _listen(complaints: dict[str, bytes], name: str, stream: IO[bytes]) -> None:
    complaints[name] = stream.read()[-4000:]


def _finish(target: Remote, position: str) -> None:
    """From here on the target is where the source was, and knows so in its own log too: a server
    that asks it for what came earlier is told that it has none of that."""
    if not gtid.position(position):
        raise CopyError("the copy has no position")
    at = sql.quoted(position)
    sql.ask(
        target,
        heartbeat.TABLE_SQL,
        "SET SESSION sql_log_bin = 0",
        heartbeat.FORGET_SQL,
        _EVENTS_SLEEP,
        "FLUSH PRIVILEGES",
        "STOP ALL SLAVES",
        "RESET MASTER",
        f"SET GLOBAL gtid_binlog_state = {at}",
        f"SET GLOBAL gtid_slave_pos = {at}",
        f"DROP DATABASE {JOINING_DATABASE}",
        "SET GLOBAL read_only = OFF",
    )
    # Whoever reads the log that there was goes on waiting for it: let them ask anew.
    _end(target, _READERS)
    sql.ask(target, "SET GLOBAL event_scheduler = ON")
