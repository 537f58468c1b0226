"""Evidence: facts about a worker and its end, each with where and when it was read.

A fact says what was seen, never what it means: that is for ``diagnose`` to conclude.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from .dialect import insert_new
from .tables import evidence


class Source(StrEnum):
    """Where a fact was read. The values are stored; nothing else is written as a source."""

    #: The kernel, asked by a descriptor of the process (pidfd_open(2)).
    PIDFD = "pidfd"
    #: The kernel's process connector: ends of any process (linux/cn_proc.h).
    PROCESS_EVENTS = "process events"
    #: The kernel's log.
    KMSG = "/dev/kmsg"
    #: A pre-forking server's master, in its own journal.
    MASTER = "master"
    #: The system's journal: what systemd itself wrote.
    SYSTEMD = "systemd"
    #: The log of a server that the owner has named.
    SERVER_LOG = "server log"
    #: The traceback of a fatal signal, written beside the journal by the dying process.
    FAULTHANDLER = "faulthandler"
    #: The stacks of a process, read from outside.
    PY_SPY = "py-spy"
    #: What the recorder wrote, or did not write, about requests.
    JOURNAL = "journal"
    #: Files of proc(5) about the process, and about the host.
    PROC = "/proc"
    PROC_FD = "/proc/PID/fd"
    FILE_NR = "/proc/sys/fs/file-nr"
    LOADAVG = "/proc/loadavg"
    MEMINFO = "/proc/meminfo"
    BOOT_ID = "boot id"
    #: The wall clock held against the clock that nobody sets.
    CLOCKS = "clocks"
    #: The memory and the pids controller of the process's control group.
    MEMORY_CGROUP = "cgroup"
    PIDS_CGROUP = "pids cgroup"
    #: The kernel, asked about connections (sock_diag(7)).
    SOCK_DIAG = "sock_diag"
    #: A file system, asked by statvfs(3).
    STATVFS = "statvfs"
    #: A connection that was tried.
    PROBE = "probe"


#: How the process ended. data: ``signal`` (name) or ``exit_code``; several sources may disagree.
EXIT = "exit"
#: The traceback that faulthandler wrote. data: ``signal``, ``thread`` (of the crash, as an int),
#: ``own``: [function, file, line] of the innermost call in that thread that is neither Python's
#: library nor an installed package: the application's own line, absent where there is none.
TRACEBACK = "traceback"
#: The kernel killed this process for want of memory. data: ``victim_pid``, ``rss_bytes``,
#: ``scope`` ("cgroup" or "host"), ``cgroup``, ``limit_bytes`` (what that group may use, null where
#: the kernel did not tell), ``largest``: [[name, bytes], …] of the largest processes then.
OOM_KILL = "oom_kill"
#: The same happened to a process that this worker had started, or one that such a process had
#: started; not to the worker itself. data: as above, and ``name``.
DESCENDANT_OOM_KILL = "descendant_oom_kill"
#: The same happened to a process that is none of the application's, on this host or in this
#: cgroup. data: as above, and ``name``.
NEIGHBOUR_OOM_KILL = "neighbour_oom_kill"
#: A memory cgroup of this process counted out-of-memory kills. data: ``before``, ``after``,
#: ``limit_bytes``, ``cgroup``.
OOM_COUNTER = "oom_counter"
#: The host's memory at the time. data: ``available_bytes``, ``total_bytes``,
#: ``pressure_full_avg10`` (percent).
HOST_MEMORY = "host_memory"
#: The worker as sampled from outside. data: ``samples``: a list of [seconds before the end,
#: rss_bytes, cpu_s, threads, descriptors, anonymous_bytes], the oldest first, at most 240;
#: ``descriptor_limit``. ``descriptors`` and the limit may be null: not every user may know them.
CURVE = "curve"
#: The pre-forking master ended this worker after its time-out. data: ``signal``, ``timeout_s``;
#: from a log, which does not tell those, ``elapsed_s`` where it does.
TIMEOUT = "timeout"
#: The master ended this worker for another reason. data: ``signal``, ``reason``: "stop",
#: "reload", "scale", "failure" (another worker had failed), "other"; ``timeout_s`` where it had
#: that long to end by itself. With the reason "recycle" and no ``signal`` the worker began to end
#: by itself, as it had served as many requests as the server's settings allow. "application": code
#: of the application sent it, in process ``sender_pid``: this one or a child of it; without a
#: ``signal`` it called exec(3), which may have failed.
MASTER_SIGNAL = "master_signal"
#: The process that had started the worker has ended too. data: as of EXIT, where known, and
#: ``parent_pid``, ``before_s`` (how long before the worker it was seen to end; below 0: after it).
PARENT_EXIT = "parent_exit"
#: A request has been open for longer than a request may take. data: ``age_s``, ``request_id``;
#: ``over``: true in a second fact, where it has come to its end after all.
HANG = "hang"
#: What the process was doing at a moment of its hang. data: ``request_ids`` (of those that hung,
#: for which it was taken), ``thread`` where all of them are of one; ``threads``: a list of
#: {``thread`` (as the begin record has it), ``tid`` (the operating system's number), ``name``,
#: ``active`` (runs on a processor), ``gil`` (holds Python's lock), ``slots`` (numbers of the frames
#: ``standfast_request_N`` in it, the innermost first), ``frames``: [[function, file, line], …] from
#: the innermost outwards}: those of the requests that hang first; ``threads_left_out``: how many
#: are not told.
STACK = "stack"
#: A thread of the worker waited for its client, seen in the server's own code or on the client's
#: connection. data: ``part``: "head" or "body" (of a request: the client is to send more),
#: "request" (one of the two), "response" (it is to take in more); ``server``; ``thread`` (as the
#: begin record has it); ``request_id``, the request that hung in it. Without one it comes from the
#: traceback of the server's time-out by SIGABRT (faulthandler; with "head" no request had arrived
#: as a whole), or, with ``waited_s``, from the last looks at the main thread before the end. Where
#: a loop serves it, the connection tells (sock_diag).
CLIENT_WAIT = "client_wait"
#: While a request hung, the thread that it shares with others stood in its event loop and waited
#: for anything to happen: the request waits for something and holds up no other. data: ``thread``,
#: ``loop`` ("asyncio", "uvloop", "gevent", "eventlet"), ``request_ids``.
LOOP_WAIT = "loop_wait"
#: A line of a server's or the system's log about this process. data: ``log``.
LOG = "log"
#: The worker ended before it had served any request. data: as of EXIT, and ``age_s``; ``loading``
#: is true where it had not even come to the end of loading its application.
START_FAILURE = "start_failure"
#: The same, of a worker whose requests are none that the recorder could see: nothing is known of
#: what it served. data: as of START_FAILURE.
UNRECORDED = "unrecorded"
#: The settings of the server that decide when it ends its workers. data: their values by the
#: server's own names, as texts.
SERVER_OPTIONS = "server_options"
#: The host has been started anew since. data: ``old_boot_id``, ``booted_ns``.
HOST_RESTART = "host_restart"
#: A file system that the worker uses has no room. data: ``path``, ``free_bytes``, ``free_inodes``.
DISK_FULL = "disk_full"
#: A file system that the worker uses may not be written to. data: ``path``.
DISK_READ_ONLY = "disk_read_only"
#: No file handles. data: ``open``, ``limit``, ``scope`` ("process" or "host").
NO_FILES = "no_files"
#: No more processes or threads may be made. data: ``count``, ``limit``, ``scope`` ("cgroup",
#: "host").
NO_PROCESSES = "no_processes"
#: The processors were busy. data: ``load_1m``, ``processors``, ``steal_share`` (0 to 1).
LOAD = "load"
#: The wall clock moved against the monotonic one. data: ``jump_s``.
CLOCK_JUMP = "clock_jump"
#: The database that the owner named could not be reached. data: ``address``, ``error``.
DATABASE_DOWN = "database_down"
#: Somebody stopped, restarted or reloaded the service. data: ``action``, ``unit``.
SERVICE = "service"

KINDS = (
    EXIT, TRACEBACK, OOM_KILL, DESCENDANT_OOM_KILL, NEIGHBOUR_OOM_KILL, OOM_COUNTER, HOST_MEMORY,
    CURVE, TIMEOUT, MASTER_SIGNAL, PARENT_EXIT, HANG, STACK, CLIENT_WAIT, LOOP_WAIT, LOG,
    START_FAILURE, UNRECORDED, SERVER_OPTIONS, HOST_RESTART, DISK_FULL, DISK_READ_ONLY, NO_FILES,
    NO_PROCESSES, LOAD, CLOCK_JUMP, DATABASE_DOWN, SERVICE,
)  # fmt: skip

#: Texts are kept up to so many characters.
TEXT_LIMIT = 64 * 1024
_MOST = 2**63 - 1


class Fact(NamedTuple):
    """One thing that was seen.

    ``kind`` is one of ``KINDS``, ``source`` says where it was read (a ``Source``; what comes from a
    store may be another's word), ``at_ns`` when it happened or was seen (nanoseconds of the epoch),
    ``text`` is the exact text of the source where it is one, else a sentence; ``data`` has the
    numbers by their names.
    """

    kind: str
    source: str
    at_ns: int
    text: str
    data: Mapping[str, Any] = {}


def add_facts(connection: Connection, worker_id: int, facts: Iterable[Fact]) -> None:
    """Stores facts about a worker; the same fact twice is one."""
    rows = [
        {
            "worker_id": worker_id,
            "kind": fact.kind,
            "source": fact.source[:64],
            "at_ns": min(max(fact.at_ns, 0), _MOST),
            "text": fact.text.replace("\0", "\\0")[:TEXT_LIMIT],
            "data": json.dumps(dict(fact.data)),
        }
        for fact in facts
    ]
    if rows:
        connection.execute(insert_new(connection, evidence), rows)


def facts_of(connection: Connection, worker_ids: Sequence[int]) -> dict[int, list[Fact]]:
    """All facts by worker, in the order of time."""
    found: dict[int, list[Fact]] = {worker_id: [] for worker_id in worker_ids}
    wanted = select(evidence).where(evidence.c.worker_id.in_(worker_ids))
    for row in connection.execute(wanted.order_by(evidence.c.at_ns, evidence.c.id)):
        fact = Fact(row.kind, row.source, row.at_ns, row.text, json.loads(row.data))
        found[row.worker_id].append(fact)
    return found
