"""Text for people: what comes from journals made harmless, and cut to what fits."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

CROP = "…"


def harmless(text: str) -> str:
    """``text`` with everything escaped that could act on a terminal or hide itself."""
    return "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])


def crop(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters; where it is too long its middle goes."""
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return text[:head] + CROP + text[len(text) - (width - 1 - head) :]


def line_width() -> int:
    """How wide a line may be: the terminal's width, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def moment(ns: int) -> str:
    """A time in UTC as ISO 8601, from nanoseconds of the epoch."""
    try:
        when = datetime.fromtimestamp(ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return "unknown"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """A duration in a unit that suits it."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
