"""The one root of every error that standfast raises for its user to read."""

from __future__ import annotations


class StandfastError(Exception):
    """Something the user can put right; the message says what and how."""


class UsageError(StandfastError):
    """Wrong use of an option or a setting; the command ends with status 2."""
