"""The masters that the hook knows: which children serve requests, and why they are signalled.

A master has one loop in one thread, so the reason is what its loop is about to do: the names of
its methods tell.
"""

from __future__ import annotations

import functools
import os
import signal
from types import ModuleType
from typing import Any, Callable, Optional

from ..journal.format import FAILURE, OTHER, RELOAD, SCALE, STOP, TIMEOUT
from . import loading
from .children import add_worker, note_signal, reason_before, watch_children, workers
from .errors import safely
from .wrapping import Reasons, after, before

#: Signals that end a worker, or are to.
_ENDING = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT, signal.SIGKILL})
_reasons = Reasons()

#: gunicorn's own classes of worker, and the kind of application that each of them calls.
_GUNICORN_WORKERS = {
    "gunicorn.workers.sync.SyncWorker": "wsgi",
    "gunicorn.workers.gthread.ThreadWorker": "wsgi",
    "gunicorn.workers.base_async.AsyncWorker": "wsgi",
    "gunicorn.workers.gtornado.TornadoWorker": "wsgi",  # or an application of Tornado's own
    "gunicorn.workers.gasgi.ASGIWorker": "asgi",
}


def gunicorn_calls(worker: type) -> str:
    """What kind of application a class of gunicorn worker calls by itself: wsgi, asgi or none.

    Those of other servers only borrow its loading.
    """
    names = (f"{base.__module__}.{base.__name__}" for base in worker.__mro__)
    return next((_GUNICORN_WORKERS[name] for name in names if name in _GUNICORN_WORKERS), "")


def is_recorded(worker: type) -> bool:
    """Whether requests to such a worker are seen: uvicorn's are, since uvicorn is met by itself.

    Tornado's may go to an application of Tornado's own, which the master cannot know.
    """
    modules = [base.__module__ for base in worker.__mro__]
    if "gunicorn.workers.gtornado" in modules:
        return False
    return bool(gunicorn_calls(worker)) or any(name.startswith("uvicorn") for name in modules)


def watch_gunicorn(module: ModuleType) -> None:
    """``gunicorn.arbiter``: it has one way to signal a worker."""
    arbiter = module.Arbiter
    watch_children(module)
    _reasons.during(arbiter, "murder_workers", TIMEOUT)
    _reasons.during(arbiter, "stop", STOP)
    _reasons.during(arbiter, "handle_winch", STOP)
    _reasons.during(arbiter, "reload", RELOAD)
    _reasons.during(arbiter, "handle_ttou", SCALE)
    _halts_for_a_failure(arbiter)

    def spawning(self: Any) -> None:
        # What another user's worker does first, it does as this one: the file would not be its own.
        loading.expect(self.cfg.uid == os.geteuid())

    def spawned(self: Any, pid: int) -> None:
        loading.expect(False)
        add_worker(pid, recorded=is_recorded(self.worker_class))

    before(arbiter, "spawn_worker", spawning)
    after(arbiter, "spawn_worker", spawned)

    def killed(self: Any, pid: int, sig: int) -> None:
        # In a later round of its loop the master asks those again that have not gone yet.
        reason = _reason(or_else=reason_before(pid))
        timeout_s = 0.0
        if reason == TIMEOUT:
            timeout_s = self.timeout
        elif sig == signal.SIGKILL:
            timeout_s = self.cfg.graceful_timeout
        if sig in _ENDING:
            note_signal(pid, sig, reason, timeout_s)

    before(arbiter, "kill_worker", killed)


def _halts_for_a_failure(arbiter: Any) -> None:
    """With a status of failure gunicorn stops by itself, as a worker could not start."""

    def halting(self: Any, reason: Any = None, exit_status: int = 0) -> None:
        if exit_status:
            _reasons.now = FAILURE

    before(arbiter, "halt", halting)


def watch_uvicorn(module: ModuleType) -> None:
    """``uvicorn.supervisors.multiprocess``: it kills a worker that does not answer its ping."""
    if not hasattr(module, "Process"):
        return  # before uvicorn 0.30, whose supervisor only starts and stops
    supervisor, process = module.Multiprocess, module.Process
    _reasons.during(supervisor, "keep_subprocess_alive", TIMEOUT)
    _reasons.during(supervisor, "terminate_all", STOP)
    _reasons.during(supervisor, "restart_all", RELOAD)
    _reasons.during(supervisor, "handle_ttou", SCALE)
    patience_s: dict[Any, float] = {}
    told: list[bool] = []

    def pinged(self: Any, timeout: float = 5.0) -> None:
        patience_s[self] = timeout

    def terminated(self: Any) -> None:
        patience_s.pop(self, None)
        note_signal(self.process.pid, signal.SIGTERM, _reason())

    def killed(self: Any) -> None:
        timeout_s = patience_s.pop(self, 0.0)
        note_signal(self.process.pid, signal.SIGKILL, _reason(), timeout_s)

    def stopping(self: Any) -> None:
        # Of its own accord it stops where a worker cannot start.
        if not told:
            _reasons.now = FAILURE

    before(process, "ping", pinged)
    after(process, "start", lambda self, _: add_worker(self.process.pid))
    before(process, "terminate", terminated)
    before(process, "kill", killed)
    for name in ("handle_int", "handle_term"):
        before(supervisor, name, lambda _: told.append(True))
    before(supervisor, "terminate_all", stopping)


def watch_hypercorn(module: ModuleType) -> None:
    """``hypercorn.run``: it ends its workers through ``multiprocessing`` when it stops itself.

    That is when it is told to, and when one of them has ended with a status of failure.
    """
    populate = module._populate

    def watch(processes: Any) -> None:
        for process in processes:
            if process.pid not in workers:
                add_worker(process.pid)
                process.terminate = functools.partial(_terminate, process.pid, process.terminate)

    @functools.wraps(populate)
    def populated(processes: Any, *args: Any, **kwargs: Any) -> None:
        populate(processes, *args, **kwargs)
        safely(watch, processes)

    def joined(_: Any, status: int) -> None:
        if status:
            _reasons.now = FAILURE

    module._populate = populated  # type: ignore[attr-defined]
    if hasattr(module, "_join_exited"):
        after(module, "_join_exited", joined)


def _terminate(pid: int, terminate: Callable[[], None]) -> None:
    note_signal(pid, signal.SIGTERM, _reason(or_else=STOP))
    terminate()


def _reason(or_else: Optional[int] = None) -> int:
    found = or_else if _reasons.now is None else _reasons.now
    return OTHER if found is None else found
