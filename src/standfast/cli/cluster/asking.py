"""Asks before something is done that nobody can take back."""

from __future__ import annotations

import sys

from standfast.errors import UsageError


def agreed(question: str = "Do it?") -> bool:
    """Whether who sits there says yes. Raises UsageError where nobody does."""
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask here: --yes does it without asking")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def typed(name: str, question: str) -> bool:
    """Whether who sits there types this name. Raises UsageError where nobody does."""
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to ask here: --yes does it without asking")
    return input(question).strip() == name
