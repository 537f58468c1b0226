"""Calls of our own before and after a method of somebody else's, which never feels them.

Every place where the hook touches a server goes through here: whatever goes wrong with our part,
the server's own method is called as always, and its result and its exceptions are its own.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional

from .errors import safely


def before(owner: Any, name: str, first: Callable[..., Any]) -> None:
    """Has ``first`` called with the same arguments before ``owner.name``."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        safely(functools.partial(first, *args, **kwargs))
        return original(*args, **kwargs)

    setattr(owner, name, call)


def after(owner: Any, name: str, then: Callable[[Any, Any], Any]) -> None:
    """Has ``then(self, result)`` called whenever ``owner.name`` has returned."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        safely(then, self, result)
        return result

    setattr(owner, name, call)


class Reasons:
    """Why a master would signal its workers now: it has one loop, and its methods tell."""

    def __init__(self) -> None:
        self.now: Optional[int] = None

    def during(self, owner: Any, name: str, reason: int) -> None:
        """While ``owner.name`` runs it is for this reason, or for that of a caller of it."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            outer = self.now
            self.now = reason if outer is None else outer
            try:
                return original(*args, **kwargs)
            finally:
                self.now = outer

        setattr(owner, name, call)
