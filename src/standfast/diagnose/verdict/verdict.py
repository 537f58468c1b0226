"""From what the rules find to one verdict: party, cause, confidence, for and against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from .case import Case, load
from .causes import CAUSES, UNDETERMINED, Cause
from .culprit import culprit
from .finding import LADDER, WEAK, Finding, confidence_at, word_for
from .readings import Readings, cite
from .rules import RULES

#: From so many steps on a cause is no rival of a likelier one.
_FAR = 2


@dataclass(frozen=True)
class Verdict:
    """Whose fault one incident was.

    ``confidence`` is 0 where nobody is named. ``supports`` and ``contradicts`` are sentences with
    their sources, ``refute`` says what would overturn it. ``culprit`` is the id of a request.
    The sentences quote what was recorded, which is not to be trusted.
    """

    cause: Cause
    confidence: float
    supports: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    culprit: str | None = None
    culprit_probability: float | None = None
    culprit_why: str = ""

    @property
    def party(self) -> str:
        """Whose job it is."""
        return self.cause.party

    @property
    def word(self) -> str:
        """How sure this is, as a word."""
        return word_for(self.confidence)

    def as_json(self) -> dict[str, Any]:
        """The keys that it adds to an incident in JSON."""
        return {
            "verdict": {
                "party": self.party,
                "cause": self.cause.name,
                "confidence": self.confidence,
                "for": list(self.supports),
                "against": list(self.contradicts),
                "refute": list(self.cause.refute),
            },
            "culprit": self.culprit,
            "culprit_probability": self.culprit_probability,
        }


def findings(case: Case) -> list[Finding]:
    """What the rules find, the likeliest first; of equals, in the order of the rules."""
    seen = Readings(case)
    found = [finding for rule in RULES if (finding := rule(seen)) is not None]
    return sorted(found, key=lambda finding: -finding.confidence)


def judge(case: Case) -> Verdict:
    """The verdict on one incident. Never raises for what the facts say.

    A cause of another party that is one step less likely than the best takes it one step down,
    one that is as likely two steps. What then is less than weak is not said at all.
    """
    found = findings(case)
    if not found:
        return _undetermined(case, [])
    best, *others = found
    step = LADDER.index(best.confidence)
    behind = [
        (LADDER.index(other.confidence) - step, other)
        for other in others
        if other.cause.party != best.cause.party
    ]
    rivals = [other for steps, other in behind if steps < _FAR]
    nearest = min((steps for steps, _ in behind), default=_FAR)
    confidence = confidence_at(step + max(_FAR - nearest, 0))
    if confidence < confidence_at(WEAK):
        return _undetermined(case, found)
    against = [*best.contradicts, *[_instead(rival) for rival in rivals]]
    named = culprit(Readings(case), best.cause, confidence)
    return Verdict(
        best.cause,
        confidence,
        tuple(best.supports),
        tuple(against),
        named.request.name if named else None,
        named.probability if named else None,
        named.why if named else "",
    )


def verdicts(engine: Engine, incident_ids: Sequence[int]) -> dict[int, Verdict]:
    """The verdict on each of these incidents, by their ids; those not there are left out."""
    return {case.incident_id: judge(case) for case in load(engine, incident_ids)}


def _instead(finding: Finding) -> str:
    reason = finding.supports[0] if finding.supports else ""
    return f"It may have been {finding.cause.name} instead: {reason}".rstrip(": ")


def _undetermined(case: Case, found: Sequence[Finding]) -> Verdict:
    if not case.facts:
        said = ["Nothing was seen of this end but that the worker is gone."]
    else:
        said = ["What was seen fits no cause well enough.", *[cite(f) for f in case.facts[:10]]]
    against = tuple(_instead(finding) for finding in found)
    return Verdict(CAUSES[UNDETERMINED], 0.0, tuple(said), against)
