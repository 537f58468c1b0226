"""``standfast report incident ID``: one incident as a story in time order, and the verdict."""

from __future__ import annotations

import json

from sqlalchemy import Engine

from standfast.cli.tables import duration, moment, print_pairs, print_words
from standfast.diagnose import shapes
from standfast.diagnose.verdict import Case, Verdict, judge, load
from standfast.diagnose.words import percent
from standfast.errors import StandfastError
from standfast.store.evidence import Fact
from standfast.store.queries import Filter, incidents
from standfast.store.tables import HANG

_LINES = 8
#: So many requests in flight are told of.
_TOLD = 50


def show(engine: Engine, incident_id: int, *, as_json: bool) -> int:
    """Prints one incident. Raises StandfastError where there is none of this number."""
    case = next(iter(load(engine, [incident_id])), None)
    if case is None:
        raise StandfastError(
            f"there is no incident {incident_id}; `standfast report crashes` lists them"
        )
    verdict = judge(case)
    if as_json:
        (found,) = incidents(engine, Filter(incident_id=incident_id))
        shown = shapes.incident(found, verdict)
        print(json.dumps({**shown, "facts": [_fact(fact) for fact in case.facts]}, indent=2))
        return 1
    server = ", ".join(word for word in (case.server, case.revision) if word)
    print_words(
        f"Incident {case.incident_id}: {case.app} on {case.host}, worker {case.pid}"
        + (f" ({server})" if server else "")
    )
    print_words(f"{moment(case.died_ns)[:10]}, times are UTC")
    print()
    print_pairs((moment(at_ns)[11:23], words) for at_ns, words in _story(case))
    print()
    tell(case, verdict)
    print()
    print(f"Next: standfast report incident {case.incident_id} --json, which has all facts whole")
    return 1


def tell(case: Case, verdict: Verdict) -> None:
    """Prints a verdict: what, for, against, who, what to do."""
    sure = f" ({verdict.word}, {percent(verdict.confidence)})" if verdict.confidence else ""
    print_words(f"Verdict: {verdict.party}, {verdict.cause.name}{sure}")
    print_words(verdict.cause.words)
    pairs = [("  for", words) for words in verdict.supports]
    pairs += [("  against", words) for words in verdict.contradicts]
    guilty = [request for request in case.requests if request.name == verdict.culprit]
    for one in guilty:
        probability = percent(verdict.culprit_probability or 0.0)
        words = f"{one.method} {one.uri[:200]} ({probability}): {verdict.culprit_why}"
        pairs.append(("  culprit", words))
    pairs += [("  refuted by", words) for words in verdict.cause.refute]
    pairs.append(("  to do", verdict.cause.fix))
    print_pairs(pairs)


def _story(case: Case) -> list[tuple[int, str]]:
    """What happened and what was seen, in the order of time."""
    told = [
        (
            request.begun_ns,
            f"{request.method} {request.uri[:300]} begins (request {request.name}, from"
            f" {request.client[:60]})",
        )
        for request in case.requests[:_TOLD]
    ]
    more = len(case.requests) + case.left_out - _TOLD
    if more > 0:
        told.append((case.requests[_TOLD - 1].begun_ns, f"and {more:,} more requests begin"))
    told += [
        (
            one.begun_ns + int(one.answered_s * 1e9),
            f"{one.method} {one.uri[:300]} is answered"
            f"{f' with {one.status}' if one.status else ''} (request {one.name}); its code runs on",
        )
        for one in case.requests[:_TOLD]
        if one.answered_s is not None
    ]
    told += [(fact.at_ns, _seen(fact)) for fact in case.facts]
    ages = [duration(max(case.died_ns - one.begun_ns, 0) / 1e9) for one in case.requests]
    flying = len(ages) + case.left_out
    took = f", with {flying:,} in flight, open for {', '.join(ages[:5])}" if ages else ""
    if not ages and case.recorded:
        took = ", with nothing in flight"
    end = case.signal or (None if case.exit_code is None else f"exit code {case.exit_code}")
    if case.kind == HANG:
        told.append((case.died_ns, f"the worker is found to hang{took}"))
    else:
        how = end or "nobody saw how"
        told.append((case.died_ns, f"the worker is dead: {how}{took}"))
    return sorted(told, key=lambda pair: pair[0])


def _seen(fact: Fact) -> str:
    lines = [line.rstrip() for line in fact.text.splitlines() if line.strip()]
    shown = " / ".join(line.strip()[:300] for line in lines[:_LINES])
    if len(lines) > _LINES:
        shown += f" / … ({len(lines) - _LINES} more lines)"
    return f"{fact.kind.replace('_', ' ')}, from {fact.source}: {shown}"


def _fact(fact: Fact) -> dict[str, object]:
    return {
        "kind": fact.kind,
        "source": fact.source,
        "at": moment(fact.at_ns),
        "text": fact.text,
        "data": dict(fact.data),
    }
