"""The start-up hook of ``standfast run``: wraps what a server loads, when it loads it."""

from __future__ import annotations
