"""What the recorder is told, through environment variables: ``standfast run`` sets them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..journal.files import default_folder
from ..journal.limit import parse_size


class Settings(NamedTuple):
    """The recorder's settings; docs/settings.md lists the variables."""

    app: str
    journal: str
    masked_names: tuple[str, ...]
    truncate_clients: bool
    cpu_time: bool
    revision: str
    #: In bytes, 0 for the default.
    journal_limit: int = 0


def from_environ(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from ``STANDFAST_*``; whatever is not set has its default."""
    return Settings(
        app=environ.get("STANDFAST_APP") or "app",
        journal=environ.get("STANDFAST_JOURNAL") or default_folder(),
        masked_names=tuple(
            name.strip() for name in environ.get("STANDFAST_MASK", "").split(",") if name.strip()
        ),
        truncate_clients=_is_on(environ.get("STANDFAST_TRUNCATE_CLIENTS", "")),
        cpu_time=_is_on(environ.get("STANDFAST_CPU_TIME", "")),
        revision=environ.get("STANDFAST_REVISION", ""),
        journal_limit=_size(environ.get("STANDFAST_JOURNAL_LIMIT", "")),
    )


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on")


def _size(value: str) -> int:
    try:
        return parse_size(value)
    except ValueError:  # `standfast run` refuses it; here the application comes first
        return 0
