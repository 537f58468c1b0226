"""Faults that are the application's own."""

from __future__ import annotations

import signal
from collections.abc import Callable

from .places import few_files, few_processes, memory_limit, memory_limit_above
from .stage import Fault, Stage, again_and_again, asks, nothing, then

_NEIGHBOURS = ("/sleep?9", "/sleep?8")
_LONG = ("/sleep?30", "/sleep?29")
_HANG = {"hang_s": 3.0}


def locks(stage: Stage) -> None:
    """Two requests at the same time, each of which holds what the other one wants."""
    stage.steady()
    stage.ask("/deadlock?a")
    stage.ask("/deadlock?b")


def one_lock(holder: str) -> Callable[[Stage], None]:
    """One holds a lock and does not come back, another one waits for the lock."""

    def do(stage: Stage) -> None:
        stage.steady()
        stage.ask(holder)
        stage.begun(holder)
        stage.ask("/want?")

    return do


def crash(server: str, uri: str = "/segfault", *bystanders: str) -> Fault:
    """A crash in compiled code on one more server."""
    beside = f", {len(bystanders)} others in flight" if bystanders else ""
    what = {"/segfault": "a segmentation fault", "/heap": "a damaged heap", "/abort": "abort()"}
    name = f"{what.get(uri, uri)} under {server}{beside}"
    return Fault(name, "app_crash", uri, asks(uri, *bystanders), server)


CRASHES = (
    Fault("a segmentation fault (ctypes)", "app_crash", "/segfault",
          asks("/segfault", *_NEIGHBOURS)),
    Fault("a segmentation fault in an extension module's C code", "app_crash", "/extension",
          asks("/extension", "/sleep?9")),
    Fault("a damaged heap", "app_crash", "/heap", asks("/heap", "/sleep?9")),
    Fault("a buffer overrun", "app_crash", "/overrun", asks("/overrun", "/sleep?9"),
          unnamed="what it overwrites may be what a traceback is made of"),
    Fault("abort()", "app_crash", "/abort", asks("/abort", "/sleep?9")),
    Fault("a mapped file that it cut itself", "app_crash", "/truncated?{folder}",
          asks("/truncated?{folder}")),
    crash("sync"),
    crash("gevent", "/segfault", *_NEIGHBOURS),
    crash("gevent", "/abort", *_NEIGHBOURS),
    crash("gevent", "/heap"),
    crash("uvicorn", "/segfault", *_NEIGHBOURS),
    crash("uvicorn", "/heap", *_NEIGHBOURS),
    crash("uvicorn", "/abort"),
    crash("uvicorn, WSGI"),
    crash("uvicorn, two workers", "/segfault", *_NEIGHBOURS),
    crash("UvicornWorker", "/segfault", *_NEIGHBOURS),
    crash("UvicornWorker", "/abort", "/sleep?9"),
    crash("gunicorn asgi", "/segfault", *_NEIGHBOURS),
    crash("hypercorn", "/segfault", *_NEIGHBOURS),
    crash("hypercorn, two workers", "/segfault", "/sleep?9"),
    crash("waitress", "/segfault", *_NEIGHBOURS),
    crash("uWSGI"),
    crash("uWSGI, threads", "/segfault", *_NEIGHBOURS),
    Fault("a crash after the response, in background work", "app_crash", "/background_segfault",
          asks("/background_segfault", "/sleep?9"), "uvicorn"),
    Fault("a stack overflow", "app_stack_overflow", "/overflow", asks("/overflow"), "sync"),
    # Python gives no thread but the first a stack of its own for signals, so there is no traceback.
    Fault("a stack overflow in a thread", "app_stack_overflow", "/overflow", asks("/overflow"),
          also=("app_crash",)),
    Fault("a stack overflow in the event loop", "app_stack_overflow", "/overflow",
          asks("/overflow"), "uvicorn"),
    Fault("a stack overflow in the event loop, another in flight", "app_stack_overflow",
          "/overflow", asks("/overflow", "/sleep?9"), "uvicorn",
          unnamed="faulthandler shows the innermost 100 frames alone"),
)  # fmt: skip

MEMORY = (
    Fault("runaway memory under a cgroup's limit", "app_memory", "/grow?400",
          asks("/grow?400", "/sleep?9"), place=memory_limit),
    Fault("runaway memory, the limit is that of the group above", "app_memory", "/grow?400",
          asks("/grow?400"), place=memory_limit_above),
    Fault("runaway memory under sync", "app_memory", "/grow?400", asks("/grow?400"),
          "sync, no time-out", place=memory_limit),
    Fault("runaway memory under gevent", "app_memory", "/grow?400",
          asks("/grow?400"), "gevent", place=memory_limit),
    Fault("runaway memory under uvicorn", "app_memory", "/grow?400",
          asks("/grow?400"), "uvicorn", place=memory_limit),
    Fault("runaway memory under uWSGI", "app_memory", "/grow?400",
          asks("/grow?400"), "uWSGI", place=memory_limit),
    Fault("all memory at once", "app_memory", "/burst?400", asks("/burst?400", "/sleep?9"),
          place=memory_limit),
    Fault("all memory at once in the event loop", "app_memory", "/burst?400",
          asks("/burst?400"), "UvicornWorker", place=memory_limit),
    Fault("a slow leak", "app_memory", None, again_and_again("/leak?20", 40),
          place=memory_limit),
)  # fmt: skip

HANGS = (
    Fault("a deadlock", "app_hang", None, locks, settings=_HANG),
    Fault("a lock that is never given back", "app_hang", None, one_lock("/hold?"), settings=_HANG),
    Fault("a lock whose holder waits for another service", "app_hang", None,
          one_lock("/hold_and_ask?"), settings=_HANG),
    Fault("a deadlock under waitress", "app_hang", None, locks, "waitress", settings=_HANG),
    Fault("an endless loop in Python", "app_timeout", "/spin", asks("/spin"), "sync"),
    Fault("an endless loop in C", "app_timeout", "/spin_in_c", asks("/spin_in_c"), "sync"),
    Fault("a time-out while it sleeps", "app_timeout", "/sleep?30", asks("/sleep?30"), "sync"),
    Fault("an endless loop among threads", "app_hang", "/spin", asks("/spin", "/sleep?2"),
          settings=_HANG),
    Fault("an endless loop in the event loop", "app_hang", "/spin", asks("/spin", *_LONG),
          "uvicorn", settings={"hang_s": 6.0}),
    Fault("an endless loop after an await", "app_hang", "/spin_after_await",
          asks("/spin_after_await", *_LONG), "uvicorn", settings={"hang_s": 6.0}),
    Fault("an endless loop in C holds the event loop", "app_hang", "/spin_in_c",
          asks("/spin_in_c", *_LONG), "uvicorn", settings={"hang_s": 6.0}),
    Fault("a blocking call holds the event loop", "app_hang", "/block?60",
          asks("/block?60", *_LONG), "uvicorn", settings={"hang_s": 6.0}),
    Fault("an endless loop under hypercorn", "app_hang", "/spin", asks("/spin", "/sleep?30"),
          "hypercorn", settings={"hang_s": 6.0}),
    Fault("a time-out of UvicornWorker, others in flight", "app_timeout", "/spin",
          asks("/spin", *_LONG), "UvicornWorker, short time-out"),
    Fault("a loop in C under gevent, others in flight", "app_timeout", "/spin_in_c",
          asks("/spin_in_c", *_LONG), "gevent, short time-out"),
    Fault("harakiri of uWSGI", "app_timeout", "/spin", asks("/spin"), "uWSGI, harakiri"),
    Fault("harakiri of uWSGI while it sleeps", "app_timeout", "/sleep?30", asks("/sleep?30"),
          "uWSGI, harakiri"),
    Fault("a hang that a restart ends", "app_hang", "/spin",
          then(asks("/spin", "/sleep?2")), "gthread, short stop", settings=_HANG),
    Fault("a deadlock that a restart ends", "app_hang", None, then(locks), "gthread, short stop",
          settings=_HANG),
    Fault("a hang in the event loop that SIGKILL ends", "app_hang", "/spin",
          then(asks("/spin"), signal.SIGKILL), "uvicorn", settings=_HANG),
)  # fmt: skip

ENDS = (
    Fault("os._exit", "app_exit", "/leave?3", asks("/leave?3")),
    Fault("os._exit, others in flight", "app_exit", "/leave?3", asks("/leave?3", *_NEIGHBOURS),
          unnamed="an exit leaves no trace of its thread"),
    Fault("os._exit under sync", "app_exit", "/leave?3", asks("/leave?3"), "sync"),
    Fault("os._exit under gevent", "app_exit", "/leave?3", asks("/leave?3"), "gevent"),
    Fault("os._exit of the only process", "app_exit", "/leave?3", asks("/leave?3"), "uvicorn"),
    Fault("os._exit under UvicornWorker", "app_exit", "/leave?3", asks("/leave?3"),
          "UvicornWorker"),
    Fault("os._exit under uWSGI", "app_exit", "/leave?3", asks("/leave?3"), "uWSGI"),
    Fault("sys.exit among threads", "app_exit", "/quit?3", asks("/quit?3"), "gthread"),
    Fault("os.execv", "app_exit", "/replace", asks("/replace"), settings=_HANG),
    Fault("os.execv in the event loop, another in flight", "app_exit", "/replace",
          asks("/replace", "/sleep?30"), "uvicorn", settings=_HANG,
          unnamed="an exec leaves no trace of its thread"),
    Fault("file handles used up by itself", "app_files", "/files", asks("/files"),
          place=few_files),
    Fault("file handles used up in the event loop", "app_files", "/files", asks("/files"),
          "uvicorn", place=few_files),
    Fault("threads used up by itself", "app_threads", "/threads?1000", asks("/threads?1000"),
          place=few_processes),
)  # fmt: skip

STARTS = (
    Fault("an unhandled exception at start", "app_start_failure", None, nothing,
          variables={"FAULTY_START": "raise"}),
    Fault("an unhandled exception at start under gevent", "app_start_failure", None, nothing,
          "gevent", variables={"FAULTY_START": "raise"}),
    Fault("a crash at start under uWSGI, again and again", "app_crash", None, nothing,
          "uWSGI, lazy", variables={"FAULTY_START": "segfault"}, also=("app_start_failure",)),
    Fault("a crash at start", "app_crash", None, nothing,
          variables={"FAULTY_START": "segfault"}, also=("app_start_failure",)),
)  # fmt: skip

FAULTS = (*CRASHES, *MEMORY, *HANGS, *ENDS, *STARTS)
