"""Calls that may never come back, made in a thread of their own: what hangs is not waited for.

The kernel has no time-out for stat(2), statvfs(2) or read(2) on a network file system whose server
is gone, or on one that another user's process serves, and none for a look-up of a name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """One call, at work from now on. A failure by OSError gives nothing."""

    def __init__(self, what: Callable[[], T]) -> None:
        self._what = what
        self._found: list[T] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = False
        with suppress(RuntimeError):  # no more threads may be made: then it gives nothing
            self._thread.start()
            self._started = True

    @property
    def is_done(self) -> bool:
        """Whether it has come back."""
        return not self._thread.is_alive()

    def result(self, patience_s: float = 0.0) -> T | None:
        """What it gave; None as long as it has not come back, which is waited for so long."""
        if self._started:
            self._thread.join(max(patience_s, 0.0))
        return self._found[0] if self.is_done and self._found else None

    def _run(self) -> None:
        with suppress(OSError):
            self._found.append(self._what())
