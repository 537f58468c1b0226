"""The masters that the hook knows: which children serve requests, and why they are signalled.

A master has one loop in one thread, so the reason is what its loop is about to do: the names of
its methods tell.
"""

from __future__ import annotations

import functools
import signal
from types import ModuleType
from typing import Any, Callable, Optional

from ..journal.format import OTHER, RELOAD, SCALE, STOP, TIMEOUT
from .children import note_signal, reason_before, watch_children, workers

#: Signals that end a worker, or are to.
_ENDING = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT, signal.SIGKILL})
#: Why a signal would be sent now, None where the master's methods do not tell.
_now: list[Optional[int]] = [None]


def watch_gunicorn(module: ModuleType) -> None:
    """``gunicorn.arbiter``: it has one way to signal a worker."""
    arbiter = module.Arbiter
    watch_children(module)
    _while(arbiter, "murder_workers", TIMEOUT)
    _while(arbiter, "stop", STOP)
    _while(arbiter, "handle_winch", STOP)
    _while(arbiter, "reload", RELOAD)
    _while(arbiter, "handle_ttou", SCALE)
    _after(arbiter, "spawn_worker", lambda self, pid: workers.add(pid))

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

    _before(arbiter, "kill_worker", killed)


def watch_uvicorn(module: ModuleType) -> None:
    """``uvicorn.supervisors.multiprocess``: it kills a worker that does not answer its ping."""
    if not hasattr(module, "Process"):
        return  # before uvicorn 0.30, whose supervisor only starts and stops
    supervisor, process = module.Multiprocess, module.Process
    _while(supervisor, "keep_subprocess_alive", TIMEOUT)
    _while(supervisor, "terminate_all", STOP)
    _while(supervisor, "restart_all", RELOAD)
    _while(supervisor, "handle_ttou", SCALE)
    patience_s: dict[Any, float] = {}

    def pinged(self: Any, timeout: float = 5.0) -> None:
        patience_s[self] = timeout

    def started(self: Any, _: Any) -> None:
        workers.add(self.process.pid)

    def terminated(self: Any) -> None:
        patience_s.pop(self, None)
        note_signal(self.process.pid, signal.SIGTERM, _reason())

    def killed(self: Any) -> None:
        timeout_s = patience_s.pop(self, 0.0)
        note_signal(self.process.pid, signal.SIGKILL, _reason(), timeout_s)

    _before(process, "ping", pinged)
    _after(process, "start", started)
    _before(process, "terminate", terminated)
    _before(process, "kill", killed)


def watch_hypercorn(module: ModuleType) -> None:
    """``hypercorn.run``: it ends its workers through ``multiprocessing`` when it stops itself."""
    populate = module._populate

    @functools.wraps(populate)
    def populated(processes: Any, *args: Any, **kwargs: Any) -> None:
        populate(processes, *args, **kwargs)
        for process in [process for process in processes if process.pid not in workers]:
            workers.add(process.pid)
            process.terminate = functools.partial(_terminate, process.pid, process.terminate)

    module._populate = populated  # type: ignore[attr-defined]


def _terminate(pid: int, terminate: Callable[[], None]) -> None:
    note_signal(pid, signal.SIGTERM, STOP)
    terminate()


def _reason(or_else: Optional[int] = None) -> int:
    found = or_else if _now[0] is None else _now[0]
    return OTHER if found is None else found


def _while(owner: Any, name: str, reason: int) -> None:
    """What is signalled within ``owner.name`` is for this reason, or that of a caller of it."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        outer = _now[0]
        _now[0] = reason if outer is None else outer
        try:
            return original(*args, **kwargs)
        finally:
            _now[0] = outer

    setattr(owner, name, call)


def _before(owner: Any, name: str, first: Callable[..., None]) -> None:
    """Has ``first`` called with the same arguments before ``owner.name``."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            first(*args, **kwargs)
        except Exception:  # the master must go on, whatever is wrong with our record
            pass
        return original(*args, **kwargs)

    setattr(owner, name, call)


def _after(owner: Any, name: str, then: Callable[[Any, Any], None]) -> None:
    """Has ``then(self, result)`` called whenever ``owner.name`` has returned."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        then(self, result)
        return result

    setattr(owner, name, call)
