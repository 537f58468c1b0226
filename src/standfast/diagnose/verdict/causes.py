"""The closed list of causes: every verdict names one of these, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

APPLICATION = "application"
PLATFORM = "platform"
OPERATOR = "operator"
UNDETERMINED = "undetermined"
#: Whose job it is: who writes the code, who runs the machines, who works the service.
PARTIES = (APPLICATION, PLATFORM, OPERATOR, UNDETERMINED)


class Cause(NamedTuple):
    """One cause: whose it is, what happened, what to do, and what would refute it."""

    name: str
    party: str
    words: str
    fix: str
    refute: tuple[str, ...]


_LIST = (
    Cause(
        "app_crash",
        APPLICATION,
        "The application crashed in compiled code: its own, or that of a library it uses.",
        "Look at the traceback's first lines, repeat the request on a private copy, and fix or "
        "update the compiled module that it names.",
        (
            "Another process sent the signal: an audit record of kill(2) with this pid.",
            "The same request on the same revision does not crash elsewhere, and the host logs "
            "machine check or memory errors.",
        ),
    ),
    Cause(
        "app_stack_overflow",
        APPLICATION,
        "The application called itself until the stack was full.",
        "Give the recursion that the traceback shows an end, or a limit on how deep its input "
        "may be.",
        ("The traceback, in full, does not repeat the same functions.",),
    ),
    Cause(
        "app_memory",
        APPLICATION,
        "The application's own memory grew until the kernel killed the process.",
        "Read less at once in the request that is named (stream, page, or limit its input), or "
        "find what is kept and never freed. Raising the limit only postpones it.",
        (
            "The curve of the worker's memory is flat up to its end.",
            "Another process is named by the kernel as larger than this one.",
        ),
    ),
    Cause(
        "app_exit",
        APPLICATION,
        "The application ended its own process.",
        "Search the code and its libraries for os._exit, sys.exit, exit() and os.exec on the path "
        "of the request that is named, and raise an ordinary exception instead.",
        ("A log of the server says that it ended the worker itself.",),
    ),
    Cause(
        "app_start_failure",
        APPLICATION,
        "The application failed while it was starting: no request of this worker was recorded.",
        "Read the exception in the server's log and fix the import, setting or code that it "
        "names; try the start before a release goes live.",
        (
            "The same revision starts on another server with the same settings.",
            "The exception names something that the platform provides.",
        ),
    ),
    Cause(
        "app_timeout",
        APPLICATION,
        "The application did not come back for longer than the server allows, so the server killed "
        "the worker.",
        "Fix what the stack shows: an endless loop, a lock that is never released, a wait "
        "without a time limit. What must take long belongs in a background job.",
        (
            "Other services that this one waits for were away at that time.",
            "The processors were taken by others: high steal, or a load far above their number.",
        ),
    ),
    Cause(
        "app_hang",
        APPLICATION,
        "A request hung: the worker lived on and did not come back to it.",
        "Fix what the stack shows: an endless loop, a lock that is never released, a wait without "
        "a time limit. A time-out of the server ends a hang only where it counts each request: "
        "gunicorn's sync workers, uWSGI's harakiri; with threads or an event loop it does not.",
        (
            "The request is meant to stay open that long.",
            "Other services that this one waits for were away at that time.",
        ),
    ),
    Cause(
        "app_files",
        APPLICATION,
        "The application kept files or connections open until it had no handle left.",
        "Close what is opened (use `with`), and look for connections that are made per request "
        "and never closed.",
        ("The worker's open files are few, or the limit is lower than any program could use.",),
    ),
    Cause(
        "app_threads",
        APPLICATION,
        "The application made threads or processes until it was allowed no more.",
        "Use a pool of fixed size in place of a thread or process per request.",
        ("The worker's threads are few, and other processes fill the limit.",),
    ),
    Cause(
        "platform_memory",
        PLATFORM,
        "Memory ran out because of other processes, and this worker was killed for it.",
        "Give the application a memory guarantee of its own, limit the neighbours, or move them; "
        "the process that was large is named in the evidence where the kernel told it.",
        ("The curve of the worker's own memory rises steeply up to its end.",),
    ),
    Cause(
        "platform_disk_full",
        PLATFORM,
        "The disk was full.",
        "Make room, find what fills it, and warn before it is full again.",
        ("The files that fill the disk are the application's own.",),
    ),
    Cause(
        "platform_disk_read_only",
        PLATFORM,
        "The disk could not be written to: it had become read-only.",
        "Check the disk and the kernel log for errors, repair the file system, mount it writable.",
        ("The file system is mounted read-only on purpose, and has always been.",),
    ),
    Cause(
        "platform_no_files",
        PLATFORM,
        "The whole machine had no file handle left.",
        "Find the process that holds most of them; raise fs.file-max if the sum is reasonable.",
        ("Most of the open files are the application's own.",),
    ),
    Cause(
        "platform_no_processes",
        PLATFORM,
        "The machine, or the group the application runs in, allowed no more processes or threads.",
        "Find what fills the limit; raise pids.max, kernel.threads-max or kernel.pid_max if the "
        "sum is reasonable.",
        ("Most of the threads and processes are the application's own.",),
    ),
    Cause(
        "platform_database_down",
        PLATFORM,
        "The database could not be reached.",
        "Bring the database back and find out why it was away; let the application wait for it "
        "with a time limit.",
        ("Other applications reached the same database at that time.",),
    ),
    Cause(
        "platform_host_restart",
        PLATFORM,
        "The whole machine was restarted.",
        "Look up why (power, kernel, maintenance), and drain the machine before a planned restart.",
        ("The worker is known to have ended before the machine went down.",),
    ),
    Cause(
        "platform_overload",
        PLATFORM,
        "The machine's processors were taken by others, so the request could not finish in time.",
        "Move neighbours or give the application processors of its own; high steal is for the "
        "owner of the physical host.",
        ("The worker itself used the processors up to its end.",),
    ),
    Cause(
        "operator_stop",
        OPERATOR,
        "The service, or this worker of it, was told to stop; what was in flight was cut off.",
        "Let a deploy wait for requests in flight: a longer graceful time-out, and no new "
        "requests to a worker that is to stop.",
        (
            "The journal of the service manager shows no stop or restart at that time.",
            "The application sent the signal to itself or to its master.",
        ),
    ),
    Cause(
        "operator_kill",
        OPERATOR,
        "Somebody or something outside killed the process.",
        "Ask who was at work on the machine then, and look at scheduled scripts; audit kill(2) "
        "to know the next time.",
        (
            "The kernel log has a line on want of memory for this process.",
            "The application sent the signal to itself.",
        ),
    ),
    Cause(
        "operator_reload",
        OPERATOR,
        "The server was reloaded, or replaced the worker as it is set to; what was in flight was "
        "cut off.",
        "Let a reload wait for requests in flight: a longer graceful time-out.",
        ("The server's log shows no reload at that time.",),
    ),
    Cause(
        "client_slow",
        OPERATOR,
        "The server waited for a client that sent, or took, nothing: a connection opened ahead, "
        "half a request, a slow upload or download.",
        "Put a proxy that buffers requests and responses (nginx, Apache, HAProxy) before a server "
        "whose workers wait for one client each, or use workers that do not: gunicorn's gthread "
        "or an event loop. The application has no part in it.",
        (
            "A stack of that time stands in the application's own code.",
            "The worker was computing.",
        ),
    ),
    Cause(
        "server_shutdown",
        UNDETERMINED,
        "The server stopped all of its workers, because one of them had ended badly.",
        "Look at the incident of the worker that ended first: that one has a cause of its own.",
        ("The server's log names another reason for its stop.",),
    ),
    Cause(
        UNDETERMINED,
        UNDETERMINED,
        "What was seen does not tell whose fault it was.",
        "Let the watcher see more: run it all the time, as root or with access to the kernel log, "
        "and keep the server's logs. The next incident will say more.",
        ("Any fact of the kinds in docs/verdicts.md.",),
    ),
)

#: All causes by name, in the order of the documentation.
CAUSES = {cause.name: cause for cause in _LIST}
