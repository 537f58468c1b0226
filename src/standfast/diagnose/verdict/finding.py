"""What a rule says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from .causes import CAUSES, Cause
from .ladder import confidence_at


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
