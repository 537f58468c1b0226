"""The verdict over a period: how often each cause, and whose job it is on the whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heappush, heappushpop
from typing import Any, NamedTuple

from sqlalchemy import Engine, select

from standfast.diagnose.words import moment
from standfast.store.tables import application, incident

from .case import Case, Unfinished
from .causes import CAUSES, OPERATOR, PARTIES, PLATFORM, UNDETERMINED, Cause
from .ladder import LIKELY, WEAK, confidence_at
from .loading import load
from .verdict import Verdict, judge

_EXAMPLES_EACH = 3


class Judged(NamedTuple):
    """An incident and the verdict on it."""

    case: Case
    verdict: Verdict


class Outcome(NamedTuple):
    """What a verdict comes to, without its sentences: of ten thousand incidents those would fill
    the memory. ``culprit`` is the id of a request, ``probability`` that it did it."""

    party: str
    confidence: float
    culprit: str | None
    probability: float | None


class CauseCount(NamedTuple):
    """How many incidents had one cause, when, and the mean confidence. Times are ``_ns``."""

    cause: Cause
    incidents: int
    confidence: float
    first_ns: int
    last_ns: int


class CulpritCount(NamedTuple):
    """How often requests of one route were the culprit, with the last of them."""

    route: str
    incidents: int
    last: Unfinished


class _Example(NamedTuple):
    """An incident in the order of examples; its number tells apart what is otherwise equal."""

    confidence: float
    died_ns: int
    incident_id: int
    judged: Judged


@dataclass(frozen=True)
class PeriodVerdict:
    """Whose fault the incidents of a period were.

    ``confidence`` is the mean, over all incidents, of the confidence with which each is laid to
    the ``party``: an incident of another party counts 0. ``outcomes`` has what was found of each
    by its incident, ``moments`` when each was (``_ns``, in order) and whose; ``examples`` are the
    surest of each cause, newest first among equals.
    """

    app: str | None
    since_ns: int | None
    party: str
    confidence: float
    incidents: int
    first_ns: int | None
    last_ns: int | None
    parties: dict[str, int]
    causes: tuple[CauseCount, ...]
    culprits: tuple[CulpritCount, ...]
    examples: tuple[Judged, ...]
    outcomes: dict[int, Outcome]
    moments: tuple[tuple[int, str], ...] = ()

    def with_examples(self, examples: tuple[Judged, ...]) -> PeriodVerdict:
        """The same with other examples, such as those with all their facts."""
        return replace(self, examples=examples)

    def clears_requests(self) -> set[int]:
        """The incidents that are likely another party's: no request has caused them."""
        others = (PLATFORM, OPERATOR)
        return {
            incident_id
            for incident_id, found in self.outcomes.items()
            if found.party in others and found.confidence >= confidence_at(LIKELY)
        }

    def culprits_known(self) -> dict[int, tuple[str, float]]:
        """By incident the request that the verdict names, and how probable it is."""
        return {
            incident_id: (found.culprit, found.probability)
            for incident_id, found in self.outcomes.items()
            if found.culprit is not None and found.probability is not None
        }

    def as_json(self) -> dict[str, Any]:
        """As ``report verdict --json`` shows it."""
        return {
            "app": self.app,
            "since": _moment(self.since_ns),
            "party": self.party,
            "confidence": round(self.confidence, 4),
            "incidents": self.incidents,
            "first": _moment(self.first_ns),
            "last": _moment(self.last_ns),
            "parties": self.parties,
            "causes": [
                {
                    "cause": each.cause.name,
                    "party": each.cause.party,
                    "incidents": each.incidents,
                    "confidence": round(each.confidence, 4),
                    "first": _moment(each.first_ns),
                    "last": _moment(each.last_ns),
                }
                for each in self.causes
            ],
            "culprits": [
                {"route": each.route, "incidents": each.incidents, "last": each.last.name}
                for each in self.culprits
            ],
            "examples": [
                {"incident": each.case.incident_id, **each.verdict.as_json()}
                for each in self.examples
            ],
        }


def period_verdict(engine: Engine, app: str | None, since_ns: int | None = None) -> PeriodVerdict:
    """The verdict on all incidents of ``app`` since ``since_ns`` (nanoseconds of the epoch).

    None stands for all applications and for all time.
    """
    wanted = select(incident.c.id)
    if app is not None:
        wanted = wanted.join(application, application.c.id == incident.c.application_id)
        wanted = wanted.where(application.c.name == app)
    if since_ns is not None:
        wanted = wanted.where(incident.c.died_ns >= since_ns)
    with engine.connect() as connection:
        ids = list(connection.execute(wanted).scalars())
    return combine(app, since_ns, (Judged(case, judge(case)) for case in load(engine, ids)))


def combine(app: str | None, since_ns: int | None, judged: Iterable[Judged]) -> PeriodVerdict:
    """Adds up the verdicts of a period. Of the cases only the examples are kept, at any moment."""
    by_id: dict[int, Outcome] = {}
    times: dict[str, list[int]] = defaultdict(list)
    sureness: dict[str, float] = defaultdict(float)
    guilty: Counter[str] = Counter()
    last_guilty: dict[str, tuple[int, Unfinished]] = {}
    surest: dict[str, list[_Example]] = defaultdict(list)
    for each in judged:
        case, verdict = each
        by_id[case.incident_id] = Outcome(
            verdict.party, verdict.confidence, verdict.culprit, verdict.culprit_probability
        )
        name = verdict.cause.name
        times[name].append(case.died_ns)
        sureness[name] += verdict.confidence
        example = _Example(verdict.confidence, case.died_ns, case.incident_id, each)
        if len(surest[name]) < _EXAMPLES_EACH:
            heappush(surest[name], example)
        else:
            heappushpop(surest[name], example)
        for request in case.requests:
            if request.name == verdict.culprit:
                route = f"{request.method} {request.route}"
                guilty[route] += 1
                if route not in last_guilty or last_guilty[route][0] <= case.died_ns:
                    last_guilty[route] = (case.died_ns, request)
    causes = sorted(
        (
            CauseCount(CAUSES[name], len(at), sureness[name] / len(at), min(at), max(at))
            for name, at in times.items()
        ),
        key=lambda each: (-each.incidents, each.cause.name),
    )
    parties = dict.fromkeys(PARTIES, 0)
    for each_cause in causes:
        parties[each_cause.cause.party] += each_cause.incidents
    party, confidence = _overall(causes)
    moments = sorted((ns, CAUSES[name].party) for name, at in times.items() for ns in at)
    return PeriodVerdict(
        app,
        since_ns,
        party,
        confidence,
        len(by_id),
        moments[0][0] if moments else None,
        moments[-1][0] if moments else None,
        parties,
        tuple(causes),
        tuple(CulpritCount(route, n, last_guilty[route][1]) for route, n in guilty.most_common()),
        tuple(
            example.judged
            for each_cause in causes
            for example in sorted(surest[each_cause.cause.name], reverse=True)
        ),
        by_id,
        tuple(moments),
    )


def _moment(ns: int | None) -> str | None:
    return None if ns is None else moment(ns)


def _overall(causes: list[CauseCount]) -> tuple[str, float]:
    """The party to which the incidents are laid with the most confidence, if it is enough."""
    # What only followed from another incident says nothing of whose job it is.
    total = sum(each.incidents for each in causes if each.cause.name != "server_shutdown")
    shares: dict[str, float] = defaultdict(float)
    for each in causes:
        if each.cause.party != UNDETERMINED:
            shares[each.cause.party] += each.confidence * each.incidents / total
    party = max(shares, key=lambda name: shares[name], default=UNDETERMINED)
    if shares.get(party, 0.0) < confidence_at(WEAK):
        return UNDETERMINED, 0.0
    return party, shares[party]
