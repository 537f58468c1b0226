"""Why a worker did not answer: what it did meanwhile, and whether it could compute at all."""

from __future__ import annotations

from typing import NamedTuple

from standfast.diagnose.verdict.orders import latest_ns
from standfast.diagnose.verdict.readings import Readings, cite, number, text
from standfast.diagnose.words import percent
from standfast.store import evidence
from standfast.store.evidence import Fact
from standfast.watch.waits import SENDING

#: Busy is a thread that computes, idle one that waits; in processors.
BUSY, IDLE = 0.5, 0.2
#: One that used so many seconds of processor time in the requests that were open, or so large a
#: part of its time-out or of the hang, has computed, however small its share of a crowded machine
#: was; and so much of its fair share.
BURNED_S, BURNED_PART, FAIR = 5.0, 1 / 4, 0.5
#: So many facts of one kind are quoted.
_MOST_WAITS = 3


class Stall(NamedTuple):
    """What a worker did while nothing came back: ``busy``, ``client``, ``lock``, ``outside``,
    ``either`` (one of ``client`` and ``outside``), ``idle``, or an empty text where that is not
    known; ``sure`` that it computed, as its use of the processor alone says. ``at`` names the
    application's own code there."""

    nature: str
    sentences: list[str]
    at: str = ""
    sure: bool = True


def stall(seen: Readings) -> Stall:
    """What the worker was doing, from its use of the processor and its stacks."""
    sentences = []
    nature = ""
    if seen.busy is not None and seen.curve is not None:
        if _computed(seen, seen.busy):
            nature, doing = "busy", "it was computing: an endless loop, or slow code"
        elif seen.busy <= IDLE:
            doing = "it was waiting, not computing"
        else:
            doing = "it was partly computing, partly waiting"
        words = f"The worker used {seen.busy:.2f} processors at the end"
        if nature and seen.busy < BUSY and seen.burned_s is not None:
            words += f", and {seen.burned_s:.1f} s of their time while the requests were open"
        sentences.append(cite(seen.curve, f"{words}: {doing}"))
    for stack in seen.stuck:
        sentences.append(cite(stack.fact, f"Its stack was in: {stack.top}"))
    waits = seen.case.all(evidence.CLIENT_WAIT)
    sentences += [cite(fact) for fact in waits[:_MOST_WAITS]]
    own = next((stack.own for stack in seen.stuck if stack.own is not None), None)
    if not nature:
        nature, why = _waiting(seen, _all_are_in(seen, waits))
        sentences += why
    sure = seen.busy is not None and seen.busy >= BUSY
    return Stall(nature, sentences, own.words if own else "", sure)


def _waiting(seen: Readings, for_client: bool) -> tuple[str, list[str]]:
    """What the worker waited for, as far as its stacks tell."""
    stuck = seen.stuck
    if for_client or (stuck and all(stack.waits_for_client for stack in stuck)):
        return "client", ["The server itself was waiting there for the client's connection."]
    at_locks = [stack for stack in stuck if stack.waits_for_lock]
    said = []
    if at_locks:
        stuck = [stack for stack in stuck if not stack.waits_for_lock]
        if not stuck:
            each_other = ": threads that wait for each other" if len(at_locks) > 1 else ""
            return "lock", [f"It was waiting for a lock{each_other}."]
        # They wait for one that holds it: what that one does is why nothing came back.
        said = ["Others wait for a lock meanwhile."]
    loops = seen.case.all(evidence.LOOP_WAIT)
    said += [cite(fact) for fact in loops[:_MOST_WAITS]]
    outside = any(stack.waits_outside for stack in stuck)
    if loops and not outside and _all_have_bodies(seen):
        return "either", [
            *said,
            "It was waiting for its client to send the rest of the request, or for an answer from"
            " elsewhere: a loop that waits does not show for which.",
        ]
    if outside or loops:
        return "outside", [*said, "It was waiting for an answer from elsewhere."]
    if stuck and all(stack.active is False for stack in stuck):
        return "idle", [*said, "It was waiting there, and not for a processor."]
    return "", said


def _all_are_in(seen: Readings, waits: list[Fact]) -> bool:
    """Whether all that hangs waits for its client, as these facts have it. One that names no
    request is about the only thread."""
    waiting = {text(fact.data, "request_id") for fact in waits}
    return bool(waits) and (None in waiting or _hanging(seen) <= waiting)


def _all_have_bodies(seen: Readings) -> bool:
    """Whether all that hangs are requests by which clients send something."""
    hanging = _hanging(seen)
    found = [r for r in seen.case.requests if r.name in hanging] or seen.case.requests
    return bool(found) and all(request.method in SENDING for request in found)


def _hanging(seen: Readings) -> set[str]:
    return {name for fact in seen.hangs if (name := text(fact.data, "request_id"))}


def _computed(seen: Readings, busy: float) -> bool:
    if busy >= BUSY:
        return True
    crowds = [
        (number(fact.data, "processors") or 1.0) / load
        for fact in seen.near(evidence.LOAD)
        if (load := number(fact.data, "load_1m")) and load > 0
    ]
    limits = [s for f in seen.case.all(evidence.TIMEOUT) if (s := number(f.data, "timeout_s"))]
    limits += [s for f in seen.hangs if (s := number(f.data, "age_s"))]
    if not limits and seen.case.requests:
        # A log tells of a time-out, and not how long it was.
        oldest_ns = min(request.begun_ns for request in seen.case.requests)
        limits = [max(seen.case.died_ns - oldest_ns, 0) / 1e9]
    enough_s = min([BURNED_S, *[BURNED_PART * max(limit, 1.0) for limit in limits]])
    if busy < FAIR * min([1.0, *crowds]) or busy <= IDLE / 2:
        return False
    return (seen.burned_s or 0.0) >= enough_s or _was_running(seen)


def _was_running(seen: Readings) -> bool:
    """Whether a stack shows the application's own code at work, and waiting for nothing."""
    return any(
        stack.own is not None
        and not (stack.waits_for_client or stack.waits_for_lock or stack.waits_outside)
        and (stack.active or (stack.active is None and stack.frames[0].is_its_own))
        for stack in seen.stuck
    )


#: The machine is overloaded when this share of time was stolen, or this many processes per
#: processor wanted to run.
STEAL, CROWD = 0.25, 4.0


class Overload(NamedTuple):
    """What says that the processors were taken by others; ``stolen`` by other machines."""

    stolen: bool
    sentences: list[str]


def overload(seen: Readings) -> Overload:
    """Whether the worker was kept from computing. One that used less than half of its fair share
    in a crowd did not want to compute: it waited for something else."""
    stolen = False
    found = []
    for fact in seen.near(evidence.LOAD):
        steal, load = number(fact.data, "steal_share"), number(fact.data, "load_1m")
        processors = number(fact.data, "processors") or 1.0
        if steal is not None and steal >= STEAL:
            stolen = True
            words = (
                f"{percent(steal)} of the processors' time went to other machines on the same host"
            )
            found.append(cite(fact, words))
        elif load is not None and load >= CROWD * processors:
            if seen.busy is not None and seen.busy < processors / load / 2:
                continue
            words = f"{load:.0f} processes wanted to run on {processors:.0f} processors"
            found.append(cite(fact, words))
    return Overload(stolen, found)


def told_to_end_before(seen: Readings) -> bool:
    """Whether the master had told the worker to end before it timed it out: what no longer
    serves gives no sign of life either."""
    timed_out = [fact.at_ns for fact in seen.case.all(evidence.TIMEOUT)]
    told = [latest_ns(fact) for fact in seen.case.all(evidence.MASTER_SIGNAL)]
    return bool(timed_out and told) and min(told) < min(timed_out)
