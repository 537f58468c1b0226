"""Whatever the facts say, there is a verdict, and what speaks against it never strengthens it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from standfast.diagnose.verdict import CAUSES, Case, judge
from standfast.diagnose.verdict.verdict import findings
from standfast.store import evidence
from standfast.store.evidence import KINDS, Fact

from . import cases as c
from .test_rules import CASES

REAL = [fact for known, _, _ in CASES.values() for fact in known.facts]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)
NAMES = sorted({name for fact in REAL for name in fact.data})
hostile = st.builds(
    Fact,
    st.sampled_from(KINDS) | st.text(max_size=5),
    st.sampled_from(["pidfd", "master"]) | st.text(max_size=5),
    st.integers(0, 2**63 - 1) | st.just(c.DIED_NS),
    st.text(max_size=60)
    | st.sampled_from([*[fact.text for fact in REAL], "Thread 007 (idle)\n  acquire"]),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6),
)
honest = st.sampled_from(REAL)
requests = st.lists(
    st.builds(
        lambda age_s, thread, aborted, number, error, answered_s: c.request(
            age_s=age_s,
            thread=thread,
            aborted=aborted,
            number=number,
            seq=number,
            error=error,
            answered_s=answered_s,
        ),
        st.floats(0, 1e6),
        st.sampled_from([0, 0x7F01, 0x7F02]),
        st.booleans(),
        st.integers(1, 9),
        st.sampled_from(["", c.torn().error, c.torn("GreenletExit").error]) | st.text(max_size=40),
        st.none() | st.floats(0, 1e6),
    ),
    max_size=4,
)


def mixed(facts: list[Fact], open_requests: list[Any], kind: str = "death") -> Case:
    return c.case(*facts, requests=tuple(open_requests), kind=kind)


@given(st.lists(honest | hostile, max_size=8), requests, st.sampled_from(["death", "hang"]))
def test_any_mixture_of_facts_gives_a_verdict_of_the_list(
    facts: list[Fact], open_requests: list[Any], kind: str
) -> None:
    verdict = judge(mixed(facts, open_requests, kind))
    assert CAUSES[verdict.cause.name] is verdict.cause
    assert 0 <= verdict.confidence < 1
    assert (verdict.confidence == 0) == (verdict.party == "undetermined")
    shown = json.loads(json.dumps(verdict.as_json()))
    assert set(shown) == {"verdict", "culprit", "culprit_probability"}
    assert verdict.confidence == 0 or verdict.confidence >= 0.5
    keys = {"party", "cause", "confidence", "for", "against", "refute"}
    assert set(shown["verdict"]) == keys
    if verdict.culprit is None:
        assert verdict.culprit_probability is None
    else:
        assert verdict.party == "application"
        assert verdict.culprit in {request.name for request in open_requests}
        assert 0.5 <= (verdict.culprit_probability or 0) < 1


#: What is certain by itself: a fact of one of these kinds has to be there.
SAYING_IT = frozenset(
    {
        evidence.TRACEBACK, evidence.LOG, evidence.OOM_KILL, evidence.START_FAILURE,
        evidence.TIMEOUT, evidence.HANG, evidence.MASTER_SIGNAL, evidence.HOST_RESTART,
        evidence.NO_FILES, evidence.CURVE,
    }
)  # fmt: skip


@given(st.lists(honest, max_size=8), requests)
def test_certain_is_only_what_a_source_says_itself(
    facts: list[Fact], open_requests: list[Any]
) -> None:
    verdict = judge(mixed(facts, open_requests))
    if verdict.confidence >= 0.99:
        torn = any(one.aborted and "SystemExit" in one.error for one in open_requests)
        assert torn or SAYING_IT & {fact.kind for fact in facts}
        assert not verdict.contradicts


@given(st.lists(honest, max_size=6), requests)
def test_what_stopped_the_worker_is_not_overturned_by_what_others_do_about_it(
    facts: list[Fact], open_requests: list[Any]
) -> None:
    """Whatever is known of a stall: an order to stop that follows leaves the party as it is."""
    kinds = {evidence.MASTER_SIGNAL, evidence.SERVICE, evidence.PARENT_EXIT, evidence.EXIT}
    before = [fact for fact in facts if fact.kind not in kinds]
    stalled = judge(mixed(before, open_requests))
    if stalled.cause.name not in ("app_timeout", "app_hang", "client_slow"):
        return
    stop = c.order("stop")._replace(at_ns=c.DIED_NS + c.SECOND)
    after = judge(mixed([*before, stop], open_requests))
    assert (after.party, after.confidence) == (stalled.party, stalled.confidence)


@given(st.lists(honest, max_size=5), honest, requests)
def test_a_fact_that_is_held_against_a_cause_never_makes_it_likelier(
    facts: list[Fact], more: Fact, open_requests: list[Any]
) -> None:
    before = {found.cause.name: found for found in findings(mixed(facts, open_requests))}
    after = {found.cause.name: found for found in findings(mixed([*facts, more], open_requests))}
    for name in before.keys() & after.keys():
        held_against = set(after[name].contradicts) - set(before[name].contradicts)
        if held_against:
            assert after[name].confidence <= before[name].confidence, held_against
