"""Why a worker did not come back: the application, or a client that sends nothing."""

from __future__ import annotations

from standfast.diagnose.verdict.ends import TIMED_OUT, agreeing, misfits
from standfast.diagnose.verdict.finding import Explains, Finding, finding
from standfast.diagnose.verdict.ladder import CERTAIN, LIKELY, STRONG, WEAK
from standfast.diagnose.verdict.readings import STOPPING, Readings, cite, number
from standfast.store import evidence

from . import uwsgi
from .conditions import DATABASE
from .stalls import BUSY, Stall, overload, stall, told_to_end_before


def timeout(seen: Readings) -> Finding | None:
    """app_timeout: the server says that it killed the worker for taking too long."""
    said = [cite(fact) for fact in seen.case.all(evidence.TIMEOUT)]
    by_its_settings = [] if said else uwsgi.harakiri(seen)
    said += by_its_settings
    doing = stall(seen)
    if not said or told_to_end_before(seen) or doing.nature == "client":
        return None
    if _idle_of_requests(seen) and not doing.at:
        return None  # no code of the application was seen to run
    # A worker that is told to abort may still leave by itself: gunicorn's exits with 1.
    found = _stalled(seen, "app_timeout", said, TIMED_OUT, {0, 1})
    if _idle_of_requests(seen) or by_its_settings:
        found.strength = max(found.strength, LIKELY)
    return found


def hang(seen: Readings) -> Finding | None:
    """app_hang: a request open for longer than a request may take, and no time-out ended it."""
    if seen.case.all(evidence.TIMEOUT) or not seen.stalled or stall(seen).nature == "client":
        return None
    if seen.replaced:
        return None  # nothing is left that could come back
    said = [cite(f) for f in seen.hangs] or ["The watcher found a request that does not end."]
    found = _stalled(seen, "app_hang", said, TIMED_OUT | STOPPING, {0, 143})
    found.contradicts += [cite(f) for f in seen.case.all(evidence.HANG) if f.data.get("over")]
    return found


def client(seen: Readings) -> Finding | None:
    """client_slow: the server waited for a client that sent, or took, nothing."""
    said = seen.case.all(evidence.TIMEOUT) + seen.hangs
    if not said or told_to_end_before(seen):
        return None
    doing = stall(seen)
    supports = [cite(fact) for fact in said] + doing.sentences
    unlike = []
    if doing.nature == "client":
        strength = STRONG
    elif doing.nature == "either":
        strength = LIKELY
        unlike = [cite(fact) for fact in DATABASE.facts(seen)]
    elif _idle_of_requests(seen) and not doing.at and seen.case.all(evidence.TIMEOUT):
        # It was in none of the application's code: a connection on which nothing came is what
        # keeps such a worker. That is not seen here.
        strength = WEAK if doing.nature == "busy" or not seen.case.server else LIKELY
    else:
        return None
    contradicts = misfits(seen, TIMED_OUT | STOPPING, {0, 1, 143}) + unlike
    contradicts += overload(seen).sentences
    if seen.busy is not None and seen.busy >= BUSY and seen.curve is not None:
        contradicts.append(cite(seen.curve, "The worker was computing, not waiting"))
    return finding("client_slow", strength, supports, contradicts, Explains.STALL)


def _idle_of_requests(seen: Readings) -> bool:
    return seen.case.recorded and not seen.case.requests


def _stalled(
    seen: Readings, name: str, supports: list[str], signals: frozenset[str], codes: set[int]
) -> Finding:
    doing = stall(seen)
    strength = _strength(seen, doing)
    contradicts = misfits(seen, signals, codes) if name == "app_timeout" else []
    if doing.nature != "busy":
        contradicts += [cite(fact) for fact in DATABASE.facts(seen)]
    if doing.nature not in ("busy", "lock", "idle"):
        contradicts += overload(seen).sentences
    for fact in seen.near(evidence.CLOCK_JUMP):
        if abs(number(fact.data, "jump_s") or 0.0) >= 1.0:
            contradicts.append(f"{cite(fact)} A clock that jumps makes times look too long.")
    supports = supports + doing.sentences + agreeing(seen, signals, codes)
    if doing.at:
        supports.append(f"The innermost call of the application's own code: {doing.at} (stack).")
    return finding(name, strength, supports, contradicts, Explains.STALL)


def _strength(seen: Readings, doing: Stall) -> int:
    if doing.nature == "busy":
        return CERTAIN if doing.sure else STRONG
    return {"lock": CERTAIN, "outside": LIKELY, "either": LIKELY}.get(doing.nature, STRONG)
