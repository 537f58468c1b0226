"""Which ends of a process fit a cause, and which do not."""

from __future__ import annotations

from collections.abc import Collection

from .readings import End, Readings, cite

#: Exit codes of an orderly end; a shell gives 128 and the number of the signal.
ORDERLY_CODES = frozenset({0, 130, 143})
#: How a worker may end that was killed because it did not answer.
TIMED_OUT = frozenset({"SIGKILL", "SIGABRT", "SIGTERM", "SIGQUIT", "SIGINT"})


def agreeing(seen: Readings, signals: Collection[str], codes: Collection[int] | None) -> list[str]:
    """What sources say of the end that fits; ``codes`` None means that any exit code does."""
    return [
        cite(end.fact) if end.fact else f"The worker ended with {end.words} (store)."
        for end in seen.ends
        if _fits(end, signals, codes)
    ]


def misfits(seen: Readings, signals: Collection[str], codes: Collection[int] | None) -> list[str]:
    """What sources say of the end that does not fit, a traceback of a fatal signal among them."""
    found = []
    for end in seen.ends:
        if not _fits(end, signals, codes):
            said = cite(end.fact) if end.fact else f"The worker ended with {end.words} (store)."
            found.append(f"{said} This cause does not end in {end.words}.")
    return found


def _fits(end: End, signals: Collection[str], codes: Collection[int] | None) -> bool:
    if end.signal is not None:
        return end.signal in signals
    return codes is None or end.exit_code in codes
