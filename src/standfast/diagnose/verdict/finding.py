"""What a rule says, and how sure it is: one ladder for all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from .causes import CAUSES, Cause
from .readings import End, Readings, cite

#: Words for how sure one may be. Of the verdicts given with one of these, about that share is
#: meant to be right. Each fact that speaks against a verdict takes it one step down.
CERTAIN, STRONG, LIKELY, WEAK, FAINT = 0, 1, 2, 3, 4
LADDER = (0.99, 0.9, 0.75, 0.5, 0.3, 0.1)
WORDS = ("certain", "strong", "likely", "weak", "faint", "faint")

#: Exit codes of an orderly end; a shell gives 128 and the number of the signal.
ORDERLY_CODES = frozenset({0, 130, 143})
#: How a worker may end that was killed because it did not answer.
TIMED_OUT = frozenset({"SIGKILL", "SIGABRT", "SIGTERM", "SIGQUIT", "SIGINT"})


def confidence_at(step: int) -> float:
    """The confidence of a step of the ladder; beyond its end it stays at the last."""
    return LADDER[min(max(step, 0), len(LADDER) - 1)]


def word_for(confidence: float) -> str:
    """The word for the lowest step that ``confidence`` reaches."""
    for step, word in zip(LADDER, WORDS, strict=True):
        if confidence >= step - 1e-9:
            return word
    return WORDS[-1]


class Explains(Enum):
    """What a finding explains: why a worker stopped answering, or how it ended. Only causes of the
    same are rivals; one of each may both be true, and then they are told in their order."""

    STALL = "stall"
    END = "end"


@dataclass
class Finding:
    """One cause that may be it: its ``strength`` before anything speaks against it, and the
    sentences for and against."""

    cause: Cause
    strength: int
    supports: list[str] = field(default_factory=list)
    contradicts: list[str] = field(default_factory=list)
    explains: Explains = Explains.END

    @property
    def confidence(self) -> float:
        """One step down the ladder for each sentence against."""
        return confidence_at(self.strength + len(self.contradicts))


def finding(
    name: str,
    strength: int,
    supports: Collection[str],
    contradicts: Collection[str] = (),
    explains: Explains = Explains.END,
) -> Finding:
    """A finding for the cause ``name``, each sentence once."""
    return Finding(
        CAUSES[name],
        strength,
        list(dict.fromkeys(supports)),
        list(dict.fromkeys(contradicts)),
        explains,
    )


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
