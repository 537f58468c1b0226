"""From what the rules find to one verdict: party, cause, confidence, for and against.

What always holds, and tests/unit/diagnose/verdict/test_mixtures.py tries with any mixture of facts:

- A verdict names a party exactly where its confidence is at least that of the word *weak*.
- *Certain* rests on a source that says it itself, or on two that have nothing to do with each
  other; each sentence against takes certainty away.
- Causes are rivals only of causes that explain the same: why the worker stopped answering, or how
  it ended. Of two parties as likely, neither is named.
- Where one of each is found, both are told, in their order. What had stopped the worker is not
  overturned by what others did about it afterwards; it gives way to what the application itself
  did next, which struck other requests.
- A fact held against a cause never makes that cause likelier.
- A request is named for causes of the application alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Engine

from standfast.store.evidence import DESCENDANT_OOM_KILL

from .case import Case
from .causes import APPLICATION, CAUSES, UNDETERMINED, Cause
from .culprit import culprit
from .finding import Explains, Finding
from .ladder import LADDER, WEAK, confidence_at, word_for
from .loading import load
from .readings import Readings, cite
from .rules import RULES

#: From so many steps on a cause is no rival of a likelier one.
_FAR = 2
_MOST_CITED = 10


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


class _Weighed(NamedTuple):
    """The likeliest of the causes that explain the same, after its rivals."""

    finding: Finding
    confidence: float
    against: list[str]


def findings(case: Case) -> list[Finding]:
    """What the rules find, the likeliest first; of equals, in the order of the rules."""
    seen = Readings(case)
    found = [finding for rule in RULES if (finding := rule(seen)) is not None]
    return sorted(found, key=lambda finding: -finding.confidence)


def judge(case: Case) -> Verdict:
    """The verdict on one incident. Never raises for what the facts say."""
    seen = Readings(case)
    found = findings(case)
    stall = _weigh([one for one in found if _stalls(one)])
    end = _weigh([one for one in found if not _stalls(one)])
    chosen, besides = _in_order(stall, end)
    if chosen is None:
        return _undetermined(case, found)
    if stall is None:
        # Rivals that could not be told apart are no reason to forget that it had stopped answering.
        besides += [_instead(one, "Before that, it may have been") for one in found if _stalls(one)]
    cause = chosen.finding.cause
    supports = [*chosen.finding.supports, *besides, *_around(case)]
    if cause.party == UNDETERMINED:
        return Verdict(cause, 0.0, tuple(supports), tuple(chosen.against))
    named = culprit(seen, cause, chosen.confidence)
    return Verdict(
        cause,
        chosen.confidence,
        tuple(supports),
        tuple(chosen.against),
        named.request.name if named else None,
        named.probability if named else None,
        named.why if named else "",
    )


def verdicts(engine: Engine, incident_ids: Sequence[int]) -> dict[int, Verdict]:
    """The verdict on each of these incidents, by their ids; those not there are left out."""
    return {case.incident_id: judge(case) for case in load(engine, incident_ids)}


def _weigh(found: Sequence[Finding]) -> _Weighed | None:
    """The best of rivals, None where it is less than weak.

    A cause of another party that is one step less likely than the best takes it one step down,
    one that is as likely two steps.
    """
    if not found:
        return None
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
        return None
    return _Weighed(best, confidence, [*best.contradicts, *[_instead(rival) for rival in rivals]])


def _in_order(stall: _Weighed | None, end: _Weighed | None) -> tuple[_Weighed | None, list[str]]:
    """Which of the two is the verdict, and the sentence that tells of the other."""
    if stall is None or end is None:
        return stall or end, []
    if end.finding.cause.party == APPLICATION:
        return end, [_besides("Before that", stall)]
    return stall, [_besides("What ended it then", end)]


def _besides(when: str, other: _Weighed) -> str:
    cause = other.finding.cause
    reason = other.finding.supports[0] if other.finding.supports else ""
    return f"{when}: {cause.name} ({cause.party}, {word_for(other.confidence)}). {reason}".rstrip()


def _around(case: Case) -> list[str]:
    """What else was seen that the reader of any verdict will ask for."""
    said = []
    if case.recorded and not case.requests:
        said.append("No request was in flight in this worker (journal).")
    if case.left_out:
        said.append(f"{case.left_out} more requests in flight were not looked at (journal).")
    if case.went_along and not case.beside:
        others = "all other processes" if case.went_along > 1 else "the only other process"
        said.append(
            f"Within 10 s {others} of this application on this host ended too"
            f" ({case.went_along}; store)."
        )
    for fact in case.all(DESCENDANT_OOM_KILL)[:3]:
        said.append(f"{cite(fact)} A process that this worker had started, not the worker itself.")
    lost = [one for one in case.requests if one.answered_s is not None]
    for one in lost[:3]:
        status = f" with {one.status}" if one.status else ""
        said.append(
            f"{one.method} {one.uri[:100]} had been answered{status}; what its code was still doing"
            " was lost (journal)."
        )
    return said


def _stalls(finding: Finding) -> bool:
    return finding.explains is Explains.STALL


def _instead(finding: Finding, words: str = "It may instead have been") -> str:
    reason = finding.supports[0] if finding.supports else ""
    return f"{words} {finding.cause.name}: {reason}".rstrip(": ")


def _undetermined(case: Case, found: Sequence[Finding]) -> Verdict:
    if not case.facts:
        said = ["Nothing was seen of this end but that the worker is gone."]
    else:
        shown = [cite(fact) for fact in case.facts[:_MOST_CITED]]
        said = ["What was seen fits no cause well enough.", *shown]
    against = [_instead(finding) for finding in found]
    against += [words for finding in found for words in finding.contradicts[-1:]]
    return Verdict(
        CAUSES[UNDETERMINED], 0.0, (*said, *_around(case)), tuple(dict.fromkeys(against))
    )
