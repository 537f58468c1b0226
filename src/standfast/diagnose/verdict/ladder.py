"""How sure one may be: one ladder for all."""

from __future__ import annotations

#: Words for how sure one may be. Of the verdicts given with one of these, about that share is
#: meant to be right. Each fact that speaks against a verdict takes it one step down.
CERTAIN, STRONG, LIKELY, WEAK, FAINT = 0, 1, 2, 3, 4
LADDER = (0.99, 0.9, 0.75, 0.5, 0.3, 0.1)
WORDS = ("certain", "strong", "likely", "weak", "faint", "faint")


def confidence_at(step: int) -> float:
    """The confidence of a step of the ladder; beyond its end it stays at the last."""
    return LADDER[min(max(step, 0), len(LADDER) - 1)]


def word_for(confidence: float) -> str:
    """The word for the lowest step that ``confidence`` reaches."""
    for step, word in zip(LADDER, WORDS, strict=True):
        if confidence >= step - 1e-9:
            return word
    return WORDS[-1]
