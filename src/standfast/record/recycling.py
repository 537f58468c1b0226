"""Workers that end because they have served as many requests as their server's settings allow.

The worker itself decides it, so it says it itself, in its own journal, before it begins to end.
"""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any

from ..journal import identity
from ..journal.format import RECYCLE
from .channel import channel_for
from .errors import safely
from .wrapping import before


def watch_gunicorn(base: type, worker: Any) -> None:
    """A worker of gunicorn's that is about to serve: after its last request it is not ``alive``.

    ``base`` is the class of all workers, of which there is one object in this process.
    """
    if worker.cfg.max_requests > 0:
        base.__setattr__ = _set_attribute  # type: ignore[assignment, method-assign]


def _set_attribute(self: Any, name: str, value: Any) -> None:
    if name == "alive" and not value and self.alive and self.nr >= self.max_requests:
        safely(_note, self.cfg.graceful_timeout)
    object.__setattr__(self, name, value)


def watch_uvicorn(module: ModuleType) -> None:
    """``uvicorn.server``: it shuts down without having been asked to."""

    def stops(self: Any, *_: Any, **__: Any) -> None:
        limit = self.config.limit_max_requests
        if not self.should_exit and limit and self.server_state.total_requests >= limit:
            _note(self.config.timeout_graceful_shutdown or 0.0)

    before(module.Server, "shutdown", stops)


def watch_hypercorn(module: ModuleType) -> None:
    """``hypercorn.asyncio.worker_context``, and that of trio: counts each request."""

    def counts(self: Any) -> None:
        if self.max_requests is not None and self.requests == self.max_requests:
            _note(0.0)

    before(module.WorkerContext, "mark_request", counts)


def _note(graceful_s: float) -> None:
    pid = os.getpid()
    channel_for().open().signal(
        pid, identity.start_ticks(pid), 0, RECYCLE, int(graceful_s * 1e9), time.time_ns()
    )
