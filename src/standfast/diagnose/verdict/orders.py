"""Orders to end: who gave them, and which of them only follow from another one."""

from __future__ import annotations

import math

from standfast.store.evidence import MASTER_SIGNAL, Fact, Source

from .case import Case

_SECOND_NS = 1_000_000_000


def orders_of(case: Case) -> list[Fact]:
    """What masters, servers and the application itself say of why the worker was to end. What the
    application's own signal has led to is left out, and a call of exec that failed."""
    said = [fact for fact in case.all(MASTER_SIGNAL) if _holds(case, fact)]
    own_ns = [fact.at_ns for fact in said if is_by_application(fact)]
    first_ns = min(own_ns, default=math.inf)
    return [fact for fact in said if is_by_application(fact) or latest_ns(fact) <= first_ns]


def is_by_application(order: Fact) -> bool:
    """Whether an order to end came from the application's own code."""
    return order.data.get("reason") == "application"


def is_exec(order: Fact) -> bool:
    """Whether the application's own code had the process go on as another program."""
    return is_by_application(order) and order.data.get("signal") is None


def latest_ns(fact: Fact) -> int:
    """When it was at the latest: logs count in whole seconds."""
    return fact.at_ns + (_SECOND_NS if fact.source == Source.SERVER_LOG else 0)


def _holds(case: Case, order: Fact) -> bool:
    """False for a call of exec that failed, as later requests show: it is told before it is
    done."""
    began = [request.begun_ns for request in case.requests]
    return not is_exec(order) or (bool(began) and max(began) <= order.at_ns)
