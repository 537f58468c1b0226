"""Made-up incidents with facts as the watcher's sources write them."""

from __future__ import annotations

from typing import Any

from standfast.diagnose.verdict import Case, Unfinished
from standfast.diagnose.verdict.case import Sibling
from standfast.store import evidence
from standfast.store.evidence import Fact, Source

SECOND = 1_000_000_000
MIB = 2**20
DIED_NS = 1_795_424_267_633_000_000
PID = 4711


def request(
    uri: str = "/label/150", age_s: float = 3.5, thread: int = 0x7F01, **more: Any
) -> Unfinished:
    """A request that was in flight for ``age_s`` seconds."""
    number = more.pop("number", 17)
    name = more.pop("name", f"abc-{number}")
    begun_ns = DIED_NS - int(age_s * SECOND)
    return Unfinished(
        name,
        more.pop("method", "GET"),
        uri,
        "/label/{int}",
        begun_ns,
        thread,
        number=number,
        **more,
    )


def torn(by: str = "SystemExit", where: str = "/srv/shop/views.py", **more: Any) -> Unfinished:
    """A request that an exception tore out of the application, as the recorder writes it."""
    trace = "Traceback (most recent call last):\n"
    trace += '  File "/srv/shop/wsgi.py", line 9, in application\n    return view(request)\n'
    trace += f'  File "{where}", line 31, in leave\n    raise it\n{by}: 1\n'
    return request(aborted=True, error=trace, **more)


def fact(
    kind: str, source: str = Source.JOURNAL, words: str = "", *, age_s: float = 0.0, **data: Any
) -> Fact:
    return Fact(kind, source, DIED_NS - int(age_s * SECOND), words or f"a fact of {kind}", data)


def ended(how: str | int, source: str = Source.PIDFD) -> Fact:
    """What a source says of the end: a signal or an exit code."""
    if isinstance(how, str):
        return fact(evidence.EXIT, source, f"process {PID} was ended by {how}", signal=how)
    return fact(evidence.EXIT, source, f"process {PID} ended with exit code {how}", exit_code=how)


def curve(
    mib: list[float] | None = None,
    *,
    busy: float = 0.1,
    files: list[int] | None = None,
    threads: list[int] | None = None,
    limit: int = 1024,
) -> Fact:
    """Samples every half second; each list is the oldest first."""
    mib = mib or [80.0] * 10
    count = len(mib)
    files = files or [20] * count
    threads = threads or [4] * count
    samples = [
        [(count - i) * 0.5, int(mib[i] * MIB), 10 + i * 0.5 * busy, threads[i], files[i]]
        for i in range(count)
    ]
    words = f"{count} samples of process {PID}"
    return fact(evidence.CURVE, Source.PROC, words, samples=samples, descriptor_limit=limit)


RISING = [80.0, 80, 80, 80, 150, 300, 450, 600, 700, 780]


def traceback(signal: str = "SIGSEGV", thread: int = 0x7F01, frames: int = 3) -> Fact:
    title = {"SIGSEGV": "Segmentation fault", "SIGABRT": "Aborted", "SIGBUS": "Bus error"}[signal]
    lines = [f'  File "shop.py", line {40 + n} in step{n}' for n in range(frames)]
    words = (
        f"Fatal Python error: {title}\n\nCurrent thread 0x{thread:016x} (most recent call first):\n"
    )
    words += "\n".join(lines)
    return fact(evidence.TRACEBACK, Source.FAULTHANDLER, words, signal=signal, thread=thread)


def recursion(signal: str = "SIGSEGV") -> Fact:
    lines = ['  File "shop.py", line 12 in total'] * 100
    words = "Fatal Python error: Segmentation fault\n\n"
    words += "Current thread 0x0000000000007f01 (most recent call first):\n"
    words += "\n".join(lines) + "\n  ...\n"
    return fact(evidence.TRACEBACK, Source.FAULTHANDLER, words, signal=signal, thread=0x7F01)


def oom_kill(mib: float = 790, scope: str = "cgroup", limit_mib: float | None = None) -> Fact:
    limit: dict[str, Any] = {} if limit_mib is None else {"limit_bytes": int(limit_mib * MIB)}
    words = f"Memory cgroup out of memory: Killed process {PID} (gunicorn)"
    return fact(
        evidence.OOM_KILL, Source.KMSG, words,
        victim_pid=PID, rss_bytes=int(mib * MIB), scope=scope, cgroup="/shop",
        **limit,
    )  # fmt: skip


def counter(before: int = 0, after: int = 1, limit_mib: float = 800) -> Fact:
    return fact(
        evidence.OOM_COUNTER, Source.MEMORY_CGROUP, f"oom_kill {before} -> {after}",
        before=before, after=after, limit_bytes=int(limit_mib * MIB), cgroup="/shop",
    )  # fmt: skip


def neighbour(mib: float = 20_000, scope: str = "host", cgroup: str = "/shop") -> Fact:
    words = "Out of memory: Killed process 99 (java)"
    return fact(
        evidence.NEIGHBOUR_OOM_KILL, Source.KMSG, words, age_s=2,
        victim_pid=99, rss_bytes=int(mib * MIB), scope=scope, cgroup=cgroup, name="java",
    )  # fmt: skip


def host_memory(available_mib: float = 12_000, total_mib: float = 24_000) -> Fact:
    return fact(
        evidence.HOST_MEMORY, Source.MEMINFO,
        available_bytes=int(available_mib * MIB), total_bytes=int(total_mib * MIB),
        pressure_full_avg10=0.0,
    )  # fmt: skip


def timed_out(timeout_s: float = 30.0, signal: str = "SIGKILL") -> Fact:
    words = f"the master (pid 1) sent {signal} to its worker {PID}"
    return fact(evidence.TIMEOUT, Source.MASTER, words, signal=signal, timeout_s=timeout_s)


def order(reason: str, signal: str = "SIGTERM") -> Fact:
    words = f"the master (pid 1) sent {signal} to its worker {PID}, as the server was told to"
    return fact(evidence.MASTER_SIGNAL, Source.MASTER, words, signal=signal, reason=reason)


def told(by: str = Source.JOURNAL, reason: str = "stop", age_s: float = 10.0) -> Fact:
    """What a server, or its log, says of having been told to end."""
    words = f"the server in process {PID} was told to {reason}"
    return fact(evidence.MASTER_SIGNAL, by, words, age_s=age_s, signal="SIGTERM", reason=reason)


def execed(age_s: float = 0.0) -> Fact:
    """What the recorder says of a call of exec, before it is done."""
    words = f"the application's own code had process {PID} go on as another program"
    return fact(evidence.MASTER_SIGNAL, words=words, age_s=age_s, reason="application")


def options(**settings: Any) -> Fact:
    """The server's own settings, as the recorder writes them."""
    return fact(evidence.SERVER_OPTIONS, Source.JOURNAL, "the server's own settings", **settings)


def service(action: str) -> Fact:
    return fact(
        evidence.SERVICE, Source.SYSTEMD, f"shop.service: {action}", action=action, unit="shop"
    )


def hung(age_s: float = 60.0, source: str = Source.JOURNAL, **data: Any) -> Fact:
    return fact(evidence.HANG, source, f"a request is open for {age_s} s", age_s=age_s, **data)


def parent(how: str | int, before_s: float) -> Fact:
    words = "its parent, process 4700, has ended too"
    data = {"signal": how} if isinstance(how, str) else {"exit_code": how}
    return fact(
        evidence.PARENT_EXIT, Source.PIDFD, words, parent_pid=4700, before_s=before_s, **data
    )


def stack(words: str, **data: Any) -> Fact:
    return fact(evidence.STACK, Source.PY_SPY, words, **data)


def client_wait(part: str, **data: Any) -> Fact:
    words = f"the server waits for the client to send the {part} of its request"
    return fact(evidence.CLIENT_WAIT, Source.PY_SPY, words, part=part, server="gunicorn", **data)


def loop_wait() -> Fact:
    words = "the event loop (asyncio) waits for anything to happen"
    return fact(evidence.LOOP_WAIT, Source.PY_SPY, words, loop="asyncio", request_ids=[])


LOCKED = """Thread 0x7F01 (idle): "ThreadPoolExecutor-0_0"
    acquire (threading.py:327)
    transfer (shop.py:44)
"""
ASKING = """Thread 0x7F01 (idle): "MainThread"
    recv_into (socket.py:718)
    execute (pymysql/cursors.py:153)
"""


AT_WORK = """Thread 0x7F01 (active+gil): "MainThread"
    spin (/srv/shop/views.py:9)
    handle (gunicorn/workers/sync.py:130)
"""
IN_A_LOCK = """Thread 0x7F01 (idle): "MainThread"
    want (/srv/shop/views.py:9)
    handle (gunicorn/workers/sync.py:130)
"""
UNREADER = """Thread 0x7F01 (idle): "MainThread"
    recv (socket.py:230)
    chunk (gunicorn/http/unreader.py:66)
    read (gunicorn/http/unreader.py:40)
    read_line (gunicorn/http/message.py:300)
    handle (gunicorn/workers/sync.py:130)
"""
UPLOAD = """Thread 0x7F01 (idle): "MainThread"
    chunk (gunicorn/http/unreader.py:66)
    read (gunicorn/http/body.py:112)
    read (gunicorn/http/body.py:217)
    read (/usr/lib/python3/dist-packages/werkzeug/wsgi.py:541)
    upload (/srv/shop/views.py:77)
"""
OUTSIDE_A_REQUEST = """Thread 0x7F01 (idle): "MainThread"
    flush (/srv/shop/metrics.py:12)
    handle_request (gunicorn/workers/sync.py:199)
"""


def in_a_loop(*slots: int, thread: int = 0x7F01) -> Fact:
    """What faulthandler writes where an event loop serves many requests in one thread."""
    words = "Fatal Python error: Segmentation fault\n\n"
    words += f"Current thread 0x{thread:016x} (most recent call first):\n"
    words += '  File "/srv/shop/views.py", line 44 in crash\n'
    for slot in slots:
        words += f'  File "/x/standfast/record/slots.py", line 2 in standfast_request_{slot}\n'
    words += '  File "/usr/lib/python3.11/asyncio/events.py", line 80 in _run\n'
    words += '  File "/usr/lib/python3.11/asyncio/runners.py", line 118 in run\n'
    source = Source.FAULTHANDLER
    return fact(evidence.TRACEBACK, source, words, signal="SIGSEGV", thread=thread)


def sibling(how: str | int, before_s: float = 1.5) -> Sibling:
    """Another worker of the server, which ended shortly before."""
    died_ns = DIED_NS - int(before_s * SECOND)
    return Sibling(
        4712, how if isinstance(how, str) else None, how if isinstance(how, int) else None, died_ns
    )


def descendant(mib: float = 700) -> Fact:
    words = "Memory cgroup out of memory: Killed process 4800 (wkhtmltopdf)"
    return fact(
        evidence.DESCENDANT_OOM_KILL, Source.KMSG, words,
        victim_pid=4800, rss_bytes=int(mib * MIB), scope="cgroup", name="wkhtmltopdf",
    )  # fmt: skip


def failed_start(code: int | str = 3, age_s: float = 0) -> Fact:
    words = f"process {PID} ended with exit code {code} before it had served any request"
    data = {"signal": code} if isinstance(code, str) else {"exit_code": code}
    return Fact(evidence.START_FAILURE, Source.MASTER, DIED_NS, words, {**data, "age_s": age_s})


def log(words: str) -> Fact:
    return fact(evidence.LOG, Source.SERVER_LOG, words, log="error.log")


def full_disk() -> Fact:
    return fact(
        evidence.DISK_FULL, Source.STATVFS, "/var/lib is full", path="/var/lib", free_bytes=0
    )


def read_only() -> Fact:
    return fact(evidence.DISK_READ_ONLY, Source.STATVFS, "/var/lib is read-only", path="/var/lib")


def no_files(scope: str = "process") -> Fact:
    return fact(
        evidence.NO_FILES, Source.PROC_FD, "no file handles", open=1024, limit=1024, scope=scope
    )


def no_processes() -> Fact:
    words = "no more processes may be made"
    return fact(
        evidence.NO_PROCESSES, Source.PIDS_CGROUP, words, count=200, limit=200, scope="cgroup"
    )


def database_down() -> Fact:
    words = "10.0.0.5:3306: connection refused"
    return fact(
        evidence.DATABASE_DOWN, Source.PROBE, words, address="10.0.0.5:3306", error="refused"
    )


def restarted() -> Fact:
    words = "the machine has been started anew"
    return fact(
        evidence.HOST_RESTART, Source.BOOT_ID, words, age_s=-60, old_boot_id="old", booted_ns=1
    )


def load(load_1m: float = 30.0, steal: float = 0.0) -> Fact:
    return fact(evidence.LOAD, Source.LOADAVG, load_1m=load_1m, processors=2, steal_share=steal)


def case(*facts: Fact, requests: tuple[Unfinished, ...] | None = None, **more: Any) -> Case:
    """An incident, with one request in flight unless told otherwise."""
    requests = (request(),) if requests is None else requests
    return Case(7, DIED_NS, "shop", "web1", PID, requests=requests, facts=facts, **more)
