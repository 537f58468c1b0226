"""What people and their tools did to the service."""

from __future__ import annotations

from standfast.diagnose.verdict.finding import (
    CERTAIN,
    LIKELY,
    STRONG,
    WEAK,
    Finding,
    agreeing,
    finding,
    misfits,
)
from standfast.diagnose.verdict.readings import FATAL, STOPPING, Readings, cite, number, text
from standfast.store import evidence
from standfast.store.evidence import Fact

from .application import ORDERLY_CODES
from .shared import Whose, counted_kills, memory, short_of_memory, told_to_end_before

#: How a worker may end that was told to stop; SIGKILL follows when it takes too long.
_STOPPED = STOPPING | {"SIGKILL"}
_RELOADS = ("reload", "recycle")
_STOPS = ("stop", "scale")


def reload(seen: Readings) -> Finding | None:
    """operator_reload: the server was told to replace its workers, or is set to."""
    told = _orders(seen, _RELOADS)
    service = [f for f in seen.near(evidence.SERVICE) if "reload" in (text(f.data, "action") or "")]
    return _ordered(seen, "operator_reload", told, service)


def stop(seen: Readings) -> Finding | None:
    """operator_stop: the service was stopped or restarted, or somebody sent SIGTERM."""
    told = _orders(seen, _STOPS)
    service = [
        fact
        for fact in seen.near(evidence.SERVICE)
        if "reload" not in (text(fact.data, "action") or "") and not _is_kill(fact)
    ]
    if not told and not service:
        return _stop_unannounced(seen)
    return _ordered(seen, "operator_stop", told, service)


def _stop_unannounced(seen: Readings) -> Finding | None:
    """The signal by which services are told to stop, or a master that ended in order as well."""
    parents = [fact for fact in _parents(seen) if _ended_in_order(fact)]
    in_order = seen.end.signal in STOPPING or (parents and seen.end.exit_code in ORDERLY_CODES)
    if not in_order or _orders(seen, _RELOADS) or seen.stalled:
        return None
    supports = [cite(fact) for fact in parents]
    supports += agreeing(seen, STOPPING, ORDERLY_CODES if parents else ())
    if seen.end.signal in STOPPING:
        supports.append("That signal is how services are told to stop; nobody else sends it.")
    contradicts = misfits(seen, STOPPING, ORDERLY_CODES if parents else ())
    contradicts += _not_of_their_own(seen)
    return finding("operator_stop", STRONG if parents else LIKELY, supports, contradicts)


def kill(seen: Readings) -> Finding | None:
    """operator_kill: SIGKILL, and neither the kernel nor the master had a reason for it."""
    sent = [f for f in seen.near(evidence.SERVICE, evidence.LOG) if _is_kill(f)]
    parents = [f for f in _parents(seen) if text(f.data, "signal") == "SIGKILL"]
    left = bool(parents) and (seen.end.exit_code in ORDERLY_CODES or seen.end.signal in STOPPING)
    if seen.end.signal != "SIGKILL" and not sent and not left:
        return None
    reasons = (
        evidence.OOM_KILL, evidence.TIMEOUT, evidence.MASTER_SIGNAL, evidence.HOST_RESTART,
    )  # fmt: skip
    if (seen.case.all(*reasons) or counted_kills(seen)) and not sent:
        return None
    own = memory(seen)
    steady = len(seen.column("rss")) > 1 and not own.grew
    unchanged = seen.case.all(evidence.OOM_COUNTER)
    supports = [cite(fact) for fact in sent + parents] + agreeing(seen, {"SIGKILL"}, ())
    supports.append("No word of the kernel, nor of a master, gives a reason for it.")
    supports += [cite(f, "The kernel counted no kill for want of memory") for f in unchanged]
    if steady:
        supports += own.sentences or ["Its memory was steady up to the end."]
    fitting = {"SIGKILL"} | ({seen.end.signal or ""} if sent or left else set())
    contradicts = misfits(seen, fitting, ORDERLY_CODES if left else ())
    contradicts += short_of_memory(seen) + [cite(fact) for fact in seen.hangs]
    contradicts += [cite(f) for f in seen.near(evidence.NEIGHBOUR_OOM_KILL)]
    if own.grew and own.whose is Whose.OWN:
        contradicts += own.sentences
    if sent:
        contradicts += [cite(f) for f in seen.case.all(*reasons)]
    strength = STRONG if sent else LIKELY if steady or unchanged or parents else WEAK
    return finding("operator_kill", strength, supports, contradicts)


def _orders(seen: Readings, reasons: tuple[str, ...]) -> list[Fact]:
    said = seen.case.all(evidence.MASTER_SIGNAL)
    return [fact for fact in said if text(fact.data, "reason") in reasons]


def _parents(seen: Readings) -> list[Fact]:
    """The ends of the process that had started this one, unless they came well after."""
    found = seen.near(evidence.PARENT_EXIT)
    return [fact for fact in found if (number(fact.data, "before_s") or 0.0) > -_WITH_S]


#: A master that waits for its workers ends soon after the last of them.
_WITH_S = 10.0


def _ended_in_order(fact: Fact) -> bool:
    signal = text(fact.data, "signal")
    return signal in STOPPING or (signal is None and number(fact.data, "exit_code") == 0)


def _is_kill(fact: Fact) -> bool:
    """Whether a fact names a process outside the service that sent a signal."""
    return "kill" in (text(fact.data, "action") or "") or "sender_pid" in fact.data


def _ordered(seen: Readings, name: str, told: list[Fact], service: list[Fact]) -> Finding | None:
    if not told and not service:
        return None
    contradicts = misfits(seen, _STOPPED, ORDERLY_CODES) + _not_of_their_own(seen)
    supports = [cite(fact) for fact in told + service]
    supports += agreeing(seen, _STOPPED, ORDERLY_CODES)
    if seen.case.requests:
        supports.append("Requests were still in flight when it ended: they were cut off.")
    strength = CERTAIN if told and service else STRONG
    return finding(name, strength, supports, contradicts)


def _not_of_their_own(seen: Readings) -> list[str]:
    """What may have led to the order, or ended the worker before it could follow."""
    found = [cite(f) for f in seen.case.all(evidence.HOST_RESTART)]
    if not told_to_end_before(seen):
        found += [cite(f) for f in seen.case.all(evidence.TIMEOUT)]
    found += [cite(fact) for fact in seen.case.all(evidence.OOM_KILL) + counted_kills(seen)]
    found += [
        cite(fact)
        for fact in seen.case.all(evidence.TRACEBACK)
        if text(fact.data, "signal") in FATAL
    ]
    found += [f"{cite(f)} It hung before it was ended." for f in seen.hangs]
    return found
