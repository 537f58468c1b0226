"""What people and their tools did to the service."""

from __future__ import annotations

from standfast.diagnose.verdict.ends import ORDERLY_CODES, agreeing, misfits
from standfast.diagnose.verdict.finding import Finding, finding
from standfast.diagnose.verdict.ladder import CERTAIN, FAINT, LIKELY, STRONG, WEAK
from standfast.diagnose.verdict.readings import FATAL, STOPPING, Readings, cite, number, text
from standfast.store import evidence
from standfast.store.evidence import Fact

from . import uwsgi
from .memory_use import Whose, counted_kills, memory, neighbours_killed, short_of_memory

#: How a worker may end that was told to stop; SIGKILL follows when it takes too long.
_STOPPED = STOPPING | {"SIGKILL"}
_RELOADS = ("reload", "recycle")
_STOPS = ("stop", "scale")


def reload(seen: Readings) -> Finding | None:
    """operator_reload: the server was told to replace its workers, or is set to."""
    told = _orders(seen, _RELOADS)
    service = [f for f in seen.near(evidence.SERVICE) if "reload" in (text(f.data, "action") or "")]
    found = _ordered(seen, "operator_reload", told, service)
    return found or _ended_by_server(seen) or _left_in_order(seen, "operator_reload")


def _ended_by_server(seen: Readings) -> Finding | None:
    """No order was seen, but the server itself ended what the worker had in flight."""
    torn = [one for one in seen.torn if one.exception == "GreenletExit"]
    if not torn or _orders(seen, _STOPS) or seen.end.signal in FATAL or seen.stalled:
        return None
    supports = [
        "The server ended the greenlet of a request, as it does when a worker is replaced or"
        " stopped and its time to finish is over: GreenletExit (journal).",
        *agreeing(seen, STOPPING, ORDERLY_CODES),
    ]
    return finding("operator_reload", LIKELY, supports, misfits(seen, STOPPING, ORDERLY_CODES))


def _left_in_order(seen: Readings, name: str) -> Finding | None:
    """uWSGI's workers say by their exit code, or its log, that they were told to end."""
    code = seen.end.exit_code
    if name == "operator_reload" and (large := uwsgi.grew_too_large(seen)):
        return finding(name, LIKELY, [*large, *agreeing(seen, {"SIGKILL"}, ())])
    mercy = [f for f in seen.case.all(evidence.LOG) if "NO MERCY" in f.text]
    is_told = uwsgi.CODES.get(code if code is not None else -1) == name
    if not uwsgi.is_uwsgi(seen) or not (is_told or (mercy and name == "operator_stop")):
        return None
    supports = [cite(fact) for fact in mercy] + agreeing(seen, {"SIGKILL"}, uwsgi.CODES)
    if is_told:
        supports.append("uWSGI's workers leave with this code when they are told to.")
    return finding(name, LIKELY, supports, misfits(seen, {"SIGKILL"}, uwsgi.CODES))


def consequence(seen: Readings) -> Finding | None:
    """server_shutdown: the server stopped its workers because another of them had died."""
    failed = _orders(seen, ("failure",))
    first = next(iter(seen.case.siblings), None)
    if seen.near(evidence.SERVICE) or seen.end.signal in FATAL:
        return None
    supports = [cite(fact) for fact in failed]
    if first is not None:
        seconds = max(seen.case.died_ns - first.died_ns, 0) / 1e9
        supports.append(
            f"Another worker of this application, process {first.pid}, had ended with {first.end}"
            f" {seconds:.1f} s before (store)."
        )
    if not failed:
        told = _orders(seen, ("stop",))
        gives_up = first is not None and (
            seen.case.server.lower().startswith("hypercorn")
            # gunicorn takes these for a worker that cannot start, and stops.
            or first.exit_code in (3, 4)
        )
        if not gives_up or not (told or seen.end.signal in STOPPING):
            return None
        supports += [cite(fact) for fact in told]
    supports += agreeing(seen, _STOPPED, ORDERLY_CODES)
    return finding("server_shutdown", STRONG, supports)


def stop(seen: Readings) -> Finding | None:
    """operator_stop: the service was stopped or restarted, or somebody sent SIGTERM."""
    if consequence(seen) is not None:
        return None
    told = _orders(seen, _STOPS)
    service = [
        fact
        for fact in seen.near(evidence.SERVICE)
        if "reload" not in (text(fact.data, "action") or "")
    ]
    if not told and not service:
        return _left_in_order(seen, "operator_stop") or _stop_unannounced(seen)
    return _ordered(seen, "operator_stop", told, service)


def _stop_unannounced(seen: Readings) -> Finding | None:
    """The signal by which services are told to stop, or a master that ended in order as well."""
    parents = [fact for fact in _parents(seen) if _ended_in_order(fact)]
    if _orders(seen, ("application",)):
        return None
    in_order = seen.end.signal in STOPPING or (parents and seen.end.exit_code in ORDERLY_CODES)
    if not in_order or _orders(seen, _RELOADS):
        return None
    supports = [cite(fact) for fact in parents]
    supports += agreeing(seen, STOPPING, ORDERLY_CODES if parents else ())
    if seen.end.signal in STOPPING:
        supports.append("That signal asks a program to stop; who sent it was not seen.")
    contradicts = misfits(seen, STOPPING, ORDERLY_CODES if parents else ())
    contradicts += _not_of_their_own(seen)
    return finding("operator_stop", STRONG if parents else LIKELY, supports, contradicts)


def kill(seen: Readings) -> Finding | None:
    """operator_kill: SIGKILL, and those that would have said a reason said none.

    Silence counts only where somebody would have spoken: the server's master, the kernel's
    counters, the curve of the memory.
    """
    parents = [f for f in _parents(seen) if text(f.data, "signal") == "SIGKILL"]
    left = bool(parents) and (seen.end.exit_code in ORDERLY_CODES or seen.end.signal in STOPPING)
    if seen.end.signal != "SIGKILL" and not left:
        return None
    reasons = (evidence.OOM_KILL, evidence.TIMEOUT, evidence.HOST_RESTART)
    service = [f for f in seen.case.all(evidence.SERVICE) if f.at_ns <= seen.case.died_ns]
    descendants = seen.case.all(evidence.DESCENDANT_OOM_KILL)
    if uwsgi.harakiri(seen) or uwsgi.grew_too_large(seen):
        return None
    if (
        seen.case.all(*reasons)
        or seen.orders
        or service
        or (counted_kills(seen) and not descendants)
    ):
        return None
    own = memory(seen)
    steady = len(seen.column("rss")) > 1 and not own.grew
    supports = [cite(fact) for fact in parents] + agreeing(seen, {"SIGKILL"}, ())
    if seen.hears_master:
        supports.append("Its master's reasons are recorded, and it gave none (journal).")
    if steady:
        supports += own.sentences or ["Its memory was steady up to the end."]
    fitting = {"SIGKILL"} | ({seen.end.signal or ""} if left else set())
    contradicts = misfits(seen, fitting, ORDERLY_CODES if left else ())
    contradicts += short_of_memory(seen)
    contradicts += [cite(f) for f in neighbours_killed(seen)]
    if own.grew and own.whose is Whose.OWN:
        contradicts += own.sentences
    if uwsgi.is_uwsgi(seen) and not uwsgi.has_log(seen):
        if uwsgi.has_settings(seen):
            supports.append("None of uWSGI's settings explains it (journal).")
            return finding("operator_kill", WEAK, supports, contradicts)
        return finding("operator_kill", FAINT, supports, [*contradicts, uwsgi.LOG_WOULD_TELL])
    silent = seen.hears_master or bool(parents)
    strength = LIKELY if silent and (steady or parents) else WEAK
    return finding("operator_kill", strength, supports, contradicts)


def _orders(seen: Readings, reasons: tuple[str, ...]) -> list[Fact]:
    return [fact for fact in seen.orders if text(fact.data, "reason") in reasons]


def _parents(seen: Readings) -> list[Fact]:
    """The ends of the process that had started this one, unless they came well after."""
    found = seen.near(evidence.PARENT_EXIT)
    return [fact for fact in found if (number(fact.data, "before_s") or 0.0) > -_WITH_S]


#: A master that waits for its workers ends soon after the last of them.
_WITH_S = 10.0


def _ended_in_order(fact: Fact) -> bool:
    signal = text(fact.data, "signal")
    return signal in STOPPING or (signal is None and number(fact.data, "exit_code") == 0)


def _ordered(seen: Readings, name: str, told: list[Fact], service: list[Fact]) -> Finding | None:
    if not told and not service:
        return None
    contradicts = misfits(seen, _STOPPED, ORDERLY_CODES) + _not_of_their_own(seen)
    supports = [cite(fact) for fact in told + service]
    supports += agreeing(seen, _STOPPED, ORDERLY_CODES) + _waited(seen, told)
    if seen.case.requests:
        supports.append("Requests were still in flight when it ended: they were cut off.")
    strength = CERTAIN if told and service else STRONG
    return finding(name, strength, supports, contradicts)


def _waited(seen: Readings, told: list[Fact]) -> list[str]:
    """How long the worker had after it was first asked to stop."""
    asked = [f.at_ns for f in told if text(f.data, "signal") in STOPPING]
    if not asked or seen.end.signal != "SIGKILL":
        return []
    waited_s = max(seen.case.died_ns - min(asked), 0) / 1e9
    return [f"It was asked to stop {waited_s:.1f} s before it was killed."]


def _not_of_their_own(seen: Readings) -> list[str]:
    """What may have led to the order, or ended the worker before it could follow. Why it did not
    answer before is another question: that is told beside the order, not held against it."""
    found = [cite(f) for f in seen.case.all(evidence.HOST_RESTART)]
    found += [cite(fact) for fact in seen.case.all(evidence.OOM_KILL) + counted_kills(seen)]
    found += [
        cite(fact)
        for fact in seen.case.all(evidence.TRACEBACK)
        if text(fact.data, "signal") in FATAL
    ]
    return found
