"""Plain words for times, sizes and texts from outside; used by every page and table."""

from __future__ import annotations

from datetime import UTC, datetime


def harmless(text: str) -> str:
    """``text`` with everything escaped that could act on a terminal or hide itself."""
    return "".join([one if one.isprintable() else ascii(one)[1:-1] for one in text])


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


def size(count: float) -> str:
    """A number of bytes in MiB or GiB."""
    mib = count / 2**20
    if mib < 1:
        return f"{count / 1024:.0f} KiB"
    return f"{mib:.0f} MiB" if mib < 10_000 else f"{mib / 1024:.1f} GiB"


def plural(count: int, noun: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def percent(share: float) -> str:
    """A share or probability for people; never a certainty that it is not."""
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if share >= 0.995 else f"{100 * share:.0f} %"
