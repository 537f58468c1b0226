"""Each cause from the facts that show it, beside the causes that look like it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from standfast.diagnose.verdict import CAUSES, Case, judge
from standfast.diagnose.verdict.verdict import findings
from standfast.store import evidence
from standfast.store.evidence import Fact, Source

from . import cases as c
from .cases import case

#: Where gunicorn's gevent worker ends what is left of its requests.
SERVER = "/x/gevent/baseserver.py"
WRITE_FAILED = c.log("OSError: [Errno 28] No space left on device")
NO_MODULE = c.log("ModuleNotFoundError: No module named 'stripe'")
NO_DATABASE = c.log('pymysql.err.OperationalError: (2003, "Can\'t connect to MySQL server")')

#: What happened, the facts of it, the cause, and the confidence that they deserve.
CASES: dict[str, tuple[Case, str, float]] = {
    "segfault with a traceback": (
        case(c.ended("SIGSEGV"), c.traceback(), c.curve()), "app_crash", 0.99),
    "segfault without one": (case(c.ended("SIGSEGV"), c.curve()), "app_crash", 0.9),
    "segfault that the kernel logged": (
        case(c.ended("SIGSEGV"), c.log("gunicorn[4711]: segfault at 8 ip 7f")), "app_crash", 0.99),
    "abort in a library": (case(c.ended("SIGABRT"), c.traceback("SIGABRT")), "app_crash", 0.99),
    "segfault while the worker was starting": (
        case(c.failed_start("SIGSEGV"), c.ended("SIGSEGV"), requests=()), "app_crash", 0.9),
    "segfault just as the service was stopped": (
        case(c.ended("SIGSEGV"), c.traceback(), c.service("stop")), "app_crash", 0.99),
    "segfault while the disk was full and the database away": (
        case(c.ended("SIGSEGV"), c.traceback(), c.full_disk(), c.database_down()),
        "app_crash", 0.99),
    "stack overflow": (case(c.ended("SIGSEGV"), c.recursion()), "app_stack_overflow", 0.99),
    "stack overflow that Python itself stopped": (
        case(c.ended("SIGABRT"), c.fact(
            evidence.TRACEBACK, Source.FAULTHANDLER,
            "Fatal Python error: _Py_CheckRecursiveCall: Cannot recover from stack overflow.",
            signal=None)),
        "app_stack_overflow", 0.99),
    "memory grew to the group's limit": (
        case(c.ended("SIGKILL"), c.oom_kill(), c.counter(), c.curve(c.RISING)), "app_memory", 0.99),
    "memory grew faster than the samples": (
        case(c.ended("SIGKILL"), c.oom_kill(790), c.counter(), c.curve([80.0, 80])),
        "app_memory", 0.99),
    "memory grew, the kernel log may not be read": (
        case(c.ended("SIGKILL"), c.counter(), c.curve(c.RISING)), "app_memory", 0.9),
    "memory grew until the whole machine had none": (
        case(c.ended("SIGKILL"), c.oom_kill(21_000, "host"), c.host_memory(100),
             c.curve([80.0, 3_000, 11_000, 20_000])), "app_memory", 0.99),
    "memory grew, a killer in user space": (
        case(c.ended("SIGKILL"), c.host_memory(300), c.curve([80.0, 3_000, 11_000, 20_000])),
        "app_memory", 0.9),
    "memory grew to the limit that the kernel tells": (
        case(c.ended("SIGKILL"), c.oom_kill(limit_mib=800), c.host_memory(12_000),
             c.curve(c.RISING)), "app_memory", 0.99),
    "a large container on a larger machine": (
        case(c.ended("SIGKILL"), c.oom_kill(3_900, limit_mib=4_000), c.counter(limit_mib=4_000),
             c.host_memory(20_000, 64_000), c.curve([3_800.0] * 10)), "app_memory", 0.9),
    "a container whose limit nobody knows is not measured against the machine": (
        case(c.ended("SIGKILL"), c.oom_kill(290), c.host_memory(20_000, 64_000),
             c.curve([290.0] * 10)), "undetermined", 0.0),
    "many small workers fill a container": (
        case(c.ended("SIGKILL"), c.oom_kill(80, limit_mib=800), c.counter(), c.curve(),
             beside=9), "undetermined", 0.0),
    "a slow leak had filled the limit before": (
        case(c.ended("SIGKILL"), c.oom_kill(700), c.counter(), c.curve([700.0] * 10)),
        "app_memory", 0.9),
    "a neighbour ate the machine's memory": (
        case(c.ended("SIGKILL"), c.oom_kill(80, "host"), c.neighbour(), c.host_memory(100),
             c.curve()), "platform_memory", 0.9),
    "a neighbour ate it and this worker was growing a little": (
        case(c.ended("SIGKILL"), c.oom_kill(200, "host"), c.neighbour(), c.host_memory(100),
             c.curve([80.0, 90, 200])), "platform_memory", 0.9),
    "a neighbour in the same group ate its limit": (
        case(c.ended("SIGKILL"), c.oom_kill(80), c.counter(), c.neighbour(600), c.curve()),
        "platform_memory", 0.9),
    "os._exit in a request": (case(c.ended(3), c.curve()), "app_exit", 0.9),
    "os._exit(0) in a request": (case(c.ended(0), c.curve()), "app_exit", 0.5),
    "os._exit(3), and the server gives up because of it": (
        case(c.ended(3), c.parent(3, before_s=-0.1), went_along=3), "app_exit", 0.9),
    "another worker left with 3, and gunicorn stops them all": (
        case(c.ended(0), c.order("stop"), server="gunicorn/23.0.0", siblings=(c.sibling(3),)),
        "server_shutdown", 0.0),
    "hypercorn stops its workers because one crashed": (
        case(c.ended("SIGTERM"), c.order("stop"), server="hypercorn/0.17",
             siblings=(c.sibling("SIGSEGV"),)), "server_shutdown", 0.0),
    "the server says that it stops because another worker failed": (
        case(c.ended("SIGTERM"), c.order("failure"), server="hypercorn/0.17"),
        "server_shutdown", 0.0),
    "the application sends SIGTERM to itself": (
        case(c.ended("SIGTERM"), c.order("application")), "app_exit", 0.9),
    "the application sends SIGKILL to itself": (
        case(c.ended("SIGKILL"), c.order("application", "SIGKILL"), c.curve()), "app_exit", 0.9),
    "the application sends SIGTERM to itself, and its server says that it was told": (
        case(c.ended("SIGTERM"), c.order("application"), c.told(age_s=-0.1)), "app_exit", 0.9),
    "the application sends SIGTERM to itself, and its log says that it was told": (
        case(c.ended("SIGTERM"), c.order("application"), c.told(Source.SERVER_LOG, age_s=0.5)),
        "app_exit", 0.9),
    "a server without a master is told to stop, and killed ten seconds later": (
        case(c.ended("SIGKILL"), c.told(), c.curve(c.RISING)), "operator_stop", 0.9),
    "a server's log says that it was told to stop, and it is killed": (
        case(c.ended("SIGKILL"), c.told(Source.SERVER_LOG), c.curve(c.RISING)),
        "operator_stop", 0.9),
    "the process goes on as another program": (
        case(c.hung(), c.execed(), c.curve(busy=0.0), kind="hang"), "app_exit", 0.9),
    "the process went on as another program, which somebody killed": (
        case(c.hung(), c.execed(), c.ended("SIGKILL"), c.curve()), "app_exit", 0.9),
    "an exec that failed, as a later request shows, and somebody kills the worker": (
        case(c.ended("SIGKILL", Source.MASTER), c.execed(age_s=60.0), c.curve()),
        "operator_kill", 0.75),
    "uWSGI's worker leaves as it was told": (
        case(c.ended(30), c.curve(), server="uWSGI/2.0"), "operator_stop", 0.75),
    "uWSGI's harakiri, by its own settings": (
        case(c.ended("SIGKILL"), c.curve(), c.options(harakiri="4"),
             requests=(c.request(age_s=4.6),), server="uWSGI/2.0"), "app_timeout", 0.75),
    "uWSGI's worker is replaced": (
        case(c.ended(17), c.curve(), server="uWSGI/2.0"), "operator_reload", 0.75),
    "harakiri, as uWSGI's settings tell": (
        case(c.ended("SIGKILL"), c.options(harakiri="3"), c.curve(busy=1.0), server="uWSGI/2.0"),
        "app_timeout", 0.75),
    "no harakiri: nothing was open for so long": (
        case(c.ended("SIGKILL"), c.options(harakiri="60"), c.curve(), server="uWSGI/2.0"),
        "operator_kill", 0.5),
    "larger than uWSGI is set to allow": (
        case(c.ended("SIGKILL"), c.options(**{"evil-reload-on-rss": "70"}), c.curve([80.0] * 10),
             server="uWSGI/2.0"), "operator_reload", 0.75),
    "a worker of which no requests can be recorded": (
        case(c.fact(evidence.UNRECORDED, Source.MASTER, signal="SIGSEGV"), requests=(),
             recorded=False), "app_crash", 0.9),
    "uWSGI's mercy is over": (
        case(c.ended("SIGKILL"), c.log("worker 1 (pid: 4711) is taking too much time to die...NO"
                                       " MERCY !!!"), server="uWSGI/2.0"), "operator_stop", 0.75),
    "the kernel killed in another container of the machine": (
        case(c.ended("SIGKILL", Source.MASTER), c.curve(), c.neighbour(400, "cgroup", "/other")),
        "operator_kill", 0.75),
    "the kernel killed a child that nobody saw begin, and somebody the worker later": (
        case(c.ended("SIGKILL", Source.MASTER), c.counter(), c.neighbour(700, "cgroup"), c.curve()),
        "operator_kill", 0.5),
    "two were killed in its group, and the log tells of one": (
        case(c.ended("SIGKILL", Source.MASTER), c.counter(0, 2), c.neighbour(700, "cgroup"),
             c.curve()), "platform_memory", 0.9),
    "a deploy of hypercorn while another worker crashes": (
        case(c.ended("SIGTERM"), c.order("stop"), c.service("stop"), server="hypercorn/0.17",
             siblings=(c.sibling("SIGSEGV"),)), "operator_stop", 0.99),
    "sys.exit in a request": (
        case(c.ended(1), requests=(c.torn(), c.request("/b", number=18))), "app_exit", 0.99),
    "sys.exit in a request, and the worker lives": (
        case(c.parent(0, -0.1), requests=(c.torn(),)), "app_exit", 0.9),
    "gevent recycles a worker, nobody says so": (
        case(c.ended(0), requests=(c.torn("greenlet.GreenletExit", SERVER),)),
        "operator_reload", 0.75),
    "gevent recycles a worker": (
        case(c.ended(0), c.order("recycle"), requests=(c.torn("greenlet.GreenletExit", SERVER),)),
        "operator_reload", 0.9),
    "gunicorn's handler of a signal leaves, nobody knows why": (
        case(c.ended(1), requests=(c.torn(where="/x/gunicorn/workers/base.py"),)),
        "undetermined", 0.0),
    "a keyboard interrupt": (
        case(c.ended("SIGINT"), requests=(c.torn("KeyboardInterrupt"),)), "operator_stop", 0.75),
    "an exception of nobody's that is no Exception": (
        case(c.ended(1), requests=(c.torn("mylib.Halt"),)), "undetermined", 0.0),
    "the module is missing": (
        case(c.failed_start(), NO_MODULE, requests=()), "app_start_failure", 0.99),
    "failed at start, nobody knows why": (
        case(c.failed_start(), c.ended(3), requests=()), "app_start_failure", 0.9),
    "the module is missing while the disk is full": (
        case(c.failed_start(), NO_MODULE, c.full_disk(), requests=()), "app_start_failure", 0.99),
    "an endless loop, killed after its time-out": (
        case(c.ended("SIGKILL"), c.timed_out(), c.curve(busy=1.0)), "app_timeout", 0.99),
    "an endless loop on a crowded machine": (
        case(c.ended("SIGKILL"), c.timed_out(), c.curve(busy=0.9), c.load()), "app_timeout", 0.99),
    "a deadlock, killed after its time-out": (
        case(c.ended("SIGKILL"), c.timed_out(), c.curve(busy=0.0), c.stack(c.LOCKED)),
        "app_timeout", 0.99),
    "a time-out that ends in an abort with a traceback": (
        case(c.ended("SIGABRT"), c.timed_out(signal="SIGABRT"), c.traceback("SIGABRT")),
        "app_timeout", 0.9),
    "a time-out after which gunicorn's worker leaves by itself": (
        case(c.ended(1), c.timed_out(signal="SIGABRT"), c.curve(busy=0.0),
             requests=(c.torn(where="/x/gunicorn/workers/base.py"),)), "app_timeout", 0.9),
    "a regular expression that holds the processor on a crowded machine": (
        case(c.ended("SIGKILL"), c.timed_out(), c.load(), c.curve([80.0] * 60, busy=0.3),
             requests=(c.request(age_s=28.0),)), "app_timeout", 0.9),
    "a loop on a machine so crowded that it hardly got a processor, seen at work": (
        case(c.ended("SIGKILL"), c.timed_out(3.0), c.load(12.0), c.curve(busy=0.15),
             c.stack(c.AT_WORK)), "app_timeout", 0.9),
    "a loop on a crowded machine, timed out as a log tells": (
        case(c.ended("SIGKILL"), c.load(18.0), c.curve([80.0] * 10, busy=0.35),
             c.fact(evidence.TIMEOUT, Source.SERVER_LOG, "HARAKIRI ON WORKER 1 (pid: 4711)")),
        "app_timeout", 0.9),
    "a lock in C on a crowded machine": (
        case(c.hung(), c.load(12.0), c.curve(busy=0.12), c.stack(c.IN_A_LOCK), kind="hang"),
        "app_hang", 0.9),
    "a silent connection": (
        case(c.ended("SIGKILL"), c.timed_out(), c.stack(c.UNREADER), requests=()),
        "client_slow", 0.9),
    "a silent connection, without a stack": (
        case(c.ended("SIGKILL"), c.timed_out(), c.curve(busy=0.0), requests=(),
             server="gunicorn/23.0.0"), "client_slow", 0.75),
    "nothing in flight, and who knows what was recorded": (
        case(c.ended("SIGKILL"), c.timed_out(), requests=(), recorded=False),
        "app_timeout", 0.9),
    "a slow upload, as the watcher has seen it": (
        case(c.ended("SIGKILL"), c.timed_out(), c.curve(busy=0.0), c.client_wait("body")),
        "client_slow", 0.9),
    "a coroutine waits, and holds up nobody": (
        case(c.hung(), c.curve(busy=0.0), c.loop_wait(), kind="hang"), "app_hang", 0.75),
    "a coroutine that may wait for the rest of an upload": (
        case(c.hung(), c.curve(busy=0.0), c.loop_wait(), kind="hang",
             requests=(c.request(method="POST"),)), "undetermined", 0.0),
    "two coroutines, of which one can wait for no upload": (
        case(c.hung(request_id="abc-1"), c.hung(61.0, request_id="abc-2"), c.curve(busy=0.0),
             c.loop_wait(), kind="hang",
             requests=(c.request(method="POST", number=1), c.request(number=2))),
        "app_hang", 0.75),
    "a coroutine that waits for an upload, as its connection shows": (
        case(c.hung(request_id="abc-17"), c.curve(busy=0.0), c.loop_wait(),
             c.client_wait("body", request_id="abc-17"), kind="hang",
             requests=(c.request(method="POST"),)), "client_slow", 0.9),
    "one coroutine waits for an upload, another one for something else": (
        case(c.hung(request_id="abc-17"), c.hung(61.0, request_id="abc-2"), c.curve(busy=0.0),
             c.loop_wait(), c.client_wait("body", request_id="abc-17"), kind="hang",
             requests=(c.request(method="POST"), c.request(number=2))), "app_hang", 0.75),
    "a coroutine that sends to a database that is away": (
        case(c.hung(), c.curve(busy=0.0), c.loop_wait(), c.database_down(), kind="hang",
             requests=(c.request(method="POST"),)), "platform_database_down", 0.9),
    "a slow upload": (
        case(c.ended("SIGKILL"), c.timed_out(), c.stack(c.UPLOAD)), "client_slow", 0.9),
    "the application's own code between two requests": (
        case(c.ended("SIGKILL"), c.timed_out(), c.stack(c.OUTSIDE_A_REQUEST), requests=()),
        "app_timeout", 0.75),
    "a worker that never came to its end of loading": (
        case(c.failed_start("SIGABRT"), c.timed_out(), requests=(), recorded=False),
        "app_start_failure", 0.75),
    "a worker without a record that ended after long": (
        case(c.failed_start(1, age_s=900), requests=(), recorded=False),
        "app_start_failure", 0.5),
    "an endless loop that nobody ended": (
        case(c.hung(), c.curve(busy=1.0), kind="hang"), "app_hang", 0.99),
    "a deadlock that nobody ended": (
        case(c.hung(), c.curve(busy=0.0), c.stack(c.LOCKED), kind="hang"), "app_hang", 0.99),
    "a hang that somebody ended with SIGKILL": (
        case(c.hung(), c.ended("SIGKILL"), c.curve(busy=1.0)), "app_hang", 0.99),
    "file handles leaked": (
        case(c.ended(1), c.no_files(), c.curve(files=[20, 100, 300, 500, 700, 900, 950, 1000, 1020,
                                                       1024])), "app_files", 0.99),
    "file handles leaked, then a time-out": (
        case(c.ended("SIGKILL"), c.timed_out(), c.no_files(),
             c.log("OSError: [Errno 24] Too many open files"), c.curve(busy=1.0)),
        "app_files", 0.99),
    "a thread for every request": (
        case(c.ended(1), c.no_processes(), c.curve(threads=[4, 20, 50, 80, 100, 120, 140, 160, 180,
                                                             199])), "app_threads", 0.9),
    "the disk is full": (case(c.ended(1), c.full_disk(), WRITE_FAILED), "platform_disk_full", 0.9),
    "the disk is full, the program says nothing": (
        case(c.ended(1), c.full_disk()), "platform_disk_full", 0.75),
    "the disk is full beneath a file in memory": (
        case(c.ended("SIGBUS"), c.traceback("SIGBUS"), c.full_disk()), "platform_disk_full", 0.5),
    "no room at the start": (
        case(c.failed_start(), c.full_disk(), WRITE_FAILED, requests=()),
        "platform_disk_full", 0.9),
    "the disk is read-only": (
        case(c.ended(1), c.read_only(), errors=("OSError: [Errno 30] Read-only file system",)),
        "platform_disk_read_only", 0.9),
    "no handle on the whole machine": (
        case(c.ended(1), c.no_files("host"), c.curve()), "platform_no_files", 0.75),
    "no process may be made": (
        case(c.ended(1), c.no_processes(), c.log("RuntimeError: can't start new thread")),
        "platform_no_processes", 0.9),
    "the database is away at the start": (
        case(c.failed_start(), c.database_down(), NO_DATABASE, requests=()),
        "platform_database_down", 0.9),
    "the database is away and the request waits for it": (
        case(c.ended("SIGKILL"), c.timed_out(), c.database_down(), c.curve(busy=0.0),
             c.stack(c.ASKING)), "platform_database_down", 0.9),
    "the database is away, the worker hangs, no stack": (
        case(c.hung(), c.database_down(), c.curve(busy=0.0), kind="hang"),
        "platform_database_down", 0.75),
    "an endless loop while the database is away": (
        case(c.ended("SIGKILL"), c.timed_out(), c.database_down(), c.curve(busy=1.0)),
        "app_timeout", 0.99),
    "the machine restarted": (case(c.restarted()), "platform_host_restart", 0.99),
    "the machine was shut down in order": (
        case(c.restarted(), c.ended("SIGTERM"), c.order("stop")), "platform_host_restart", 0.99),
    "a crash before the machine restarted": (
        case(c.restarted(), c.ended("SIGSEGV"), c.traceback()), "app_crash", 0.99),
    "timed out for want of processors": (
        case(c.ended("SIGKILL"), c.timed_out(), c.load(steal=0.6), c.curve(busy=0.3)),
        "platform_overload", 0.75),
    "waited for something else on a crowded machine": (
        case(c.ended("SIGKILL"), c.timed_out(), c.load(), c.curve(busy=0.0)), "app_timeout", 0.9),
    "SIGTERM from a deploy": (
        case(c.ended("SIGTERM"), c.order("stop"), c.service("stop")), "operator_stop", 0.99),
    "a stop that the master tells of": (
        case(c.ended("SIGTERM"), c.order("stop")), "operator_stop", 0.9),
    "a stop in which the graceful time ran out": (
        case(c.ended("SIGKILL"), c.order("stop"), c.order("stop", "SIGKILL"), c.curve()),
        "operator_stop", 0.9),
    "fewer workers": (case(c.ended(0), c.order("scale")), "operator_stop", 0.9),
    "SIGTERM, from where nobody knows": (case(c.ended("SIGTERM")), "operator_stop", 0.75),
    "SIGKILL by an operator": (
        case(c.ended("SIGKILL", Source.MASTER), c.curve(), c.host_memory()),
        "operator_kill", 0.75),
    "SIGKILL, and nobody would have said why": (
        case(c.ended("SIGKILL"), c.curve(), c.host_memory()), "operator_kill", 0.5),
    "SIGKILL under uWSGI, whose reasons stand in its log alone": (
        case(c.ended("SIGKILL"), c.curve(), server="uWSGI/2.0"), "undetermined", 0.0),
    "the kernel killed what the worker had started, then somebody the worker": (
        case(c.ended("SIGKILL", Source.MASTER), c.curve(), c.descendant(), c.counter()),
        "operator_kill", 0.75),
    "SIGKILL and nothing else known": (case(c.ended("SIGKILL")), "operator_kill", 0.5),
    "the whole service was stopped, as its master shows": (
        case(c.ended(0), c.parent(0, before_s=-0.5)), "operator_stop", 0.9),
    "somebody killed the master, and the worker left": (
        case(c.ended(0), c.parent("SIGKILL", before_s=1.0)), "operator_kill", 0.75),
    "somebody killed the master and its worker": (
        case(c.ended("SIGKILL"), c.parent("SIGKILL", before_s=0.0)), "operator_kill", 0.75),
    "a hang that went on, and a deploy later": (
        case(c.hung(request_id="abc-9"), c.hung(request_id="abc-9", over=True),
             c.ended("SIGTERM"), c.order("stop")), "operator_stop", 0.9),
    "a hang, and the restart that cures it": (
        case(c.hung(), c.curve(busy=0.0), c.ended("SIGTERM"), c.order("stop"), c.service("stop")),
        "app_hang", 0.9),
    "two hangs, and the restart that cures them": (
        case(c.hung(request_id="abc-1"), c.hung(61.0, request_id="abc-2"), c.curve(busy=0.0),
             c.ended("SIGKILL"), c.order("stop"), c.order("stop", "SIGKILL"),
             requests=(c.request(number=1), c.request(number=2, thread=0x7F02))),
        "app_hang", 0.9),
    "a hang, and another request that crashes the worker": (
        case(c.hung(request_id="abc-1"), c.curve(busy=0.0), c.ended("SIGSEGV"), c.traceback(),
             requests=(c.request(number=1, thread=0x7F02), c.request(number=2))),
        "app_crash", 0.99),
    "a hang that a full machine ended": (
        case(c.hung(), c.curve(busy=0.0), c.ended("SIGKILL"), c.oom_kill(80, "host"),
             c.neighbour(), c.host_memory(100)), "app_hang", 0.9),
    "a hang that went on": (
        case(c.hung(request_id="abc-17"), c.hung(request_id="abc-17", over=True), kind="hang"),
        "app_hang", 0.75),
    "reload": (case(c.ended("SIGTERM"), c.order("reload")), "operator_reload", 0.9),
    "reload by the service manager": (
        case(c.ended("SIGTERM"), c.order("reload"), c.service("reload")), "operator_reload", 0.99),
    "the worker had served as many requests as it may": (
        case(c.ended(0), c.order("recycle")), "operator_reload", 0.9),
    "nothing is known": (case(), "undetermined", 0.0),
    "ended by a signal that no one sends": (case(c.ended("SIGALRM")), "undetermined", 0.0),
    "killed for want of memory, nobody knows whose": (
        case(c.ended("SIGKILL"), c.fact(evidence.OOM_KILL, Source.KMSG)), "undetermined", 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_named_with_the_confidence_that_it_deserves(name: str) -> None:
    known, cause, confidence = CASES[name]
    verdict = judge(known)
    assert verdict.cause.name == cause, verdict
    assert verdict.confidence == confidence, verdict
    assert verdict.supports
    assert all(len(words) < 600 for words in verdict.supports + verdict.contradicts)


def test_every_cause_has_a_case() -> None:
    assert {cause for _, cause, _ in CASES.values()} == set(CAUSES)


#: For each cause facts that speak against it.
REFUTING: dict[str, Fact | tuple[Fact, ...]] = {
    "app_crash": c.ended("SIGTERM", "server log"),
    "app_stack_overflow": c.ended(0, "server log"),
    "app_memory": c.neighbour(90_000),
    "app_exit": c.order("stop"),
    "app_start_failure": c.service("stop"),
    "app_timeout": c.fact(evidence.CLOCK_JUMP, jump_s=3600.0),
    "app_hang": c.fact(evidence.CLOCK_JUMP, jump_s=3600.0),
    "app_files": c.no_files("host"),
    "app_threads": c.ended("SIGSEGV", "server log"),
    "platform_memory": c.order("stop", "SIGKILL"),
    "platform_disk_full": c.service("stop"),
    "platform_disk_read_only": c.service("stop"),
    "platform_no_files": c.service("stop"),
    "platform_no_processes": c.service("stop"),
    "platform_database_down": (c.service("stop"), c.stack(c.LOCKED)),
    "platform_host_restart": c.traceback(),
    "platform_overload": c.ended("SIGSEGV", "server log"),
    "operator_stop": c.oom_kill(),
    "operator_kill": c.neighbour(),
    "operator_reload": c.restarted(),
    "client_slow": c.ended("SIGSEGV", "server log"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fact_that_speaks_against_it_lowers_the_confidence(name: str) -> None:
    known, cause, confidence = CASES[name]
    if CAUSES[cause].party == "undetermined":
        return
    against = REFUTING[cause]
    more = known.facts + (against if isinstance(against[0], Fact) else (against,))
    weaker = judge(replace(known, facts=more))
    assert weaker.cause.name != cause or weaker.confidence < confidence


@pytest.mark.parametrize("source", [Source.MASTER, Source.SERVER_LOG])
def test_sources_that_disagree_on_the_end_are_both_told(source: str) -> None:
    verdict = judge(case(c.ended("SIGSEGV"), c.traceback(), c.ended(1, source)))
    assert (verdict.cause.name, verdict.confidence) == ("app_crash", 0.9)
    assert any(source in words and "exit code 1" in words for words in verdict.contradicts)


@pytest.mark.parametrize("kernel", [Source.PIDFD, Source.PROCESS_EVENTS])
@pytest.mark.parametrize("other", [Source.MASTER, Source.SERVER_LOG, "another program"])
def test_the_kernel_is_believed_before_all_others(kernel: Source, other: str) -> None:
    seen = case(c.ended("SIGTERM", other), c.ended("SIGSEGV", kernel))
    assert judge(seen).cause.name == "app_crash"


def test_the_master_is_believed_before_a_log() -> None:
    seen = case(c.ended("SIGTERM", Source.SERVER_LOG), c.ended("SIGSEGV", Source.MASTER))
    assert judge(seen).cause.name == "app_crash"


def test_two_parties_that_are_as_likely_are_not_told_apart() -> None:
    known = case(c.ended("SIGKILL"), c.fact(evidence.OOM_KILL, Source.KMSG))
    verdict = judge(known)
    assert {found.cause.party for found in findings(known)} == {"application", "platform"}
    assert (verdict.party, verdict.confidence) == ("undetermined", 0.0)
    assert len(verdict.contradicts) == 2


def test_each_sentence_names_its_source_and_its_time() -> None:
    verdict = judge(CASES["memory grew to the group's limit"][0])
    assert any("/dev/kmsg, 2026-11-23T" in words for words in verdict.supports)
    assert any("grew from 80 MiB to 790 MiB" in words for words in verdict.supports)
    assert any("pidfd" in words for words in verdict.supports)
