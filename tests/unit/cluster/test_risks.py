"""What of a plan is said first, and what is not."""

from __future__ import annotations

import pytest

from standfast.cluster.building import Plan
from standfast.cluster.engine import Change
from standfast.cluster.provision.gate import TITLE
from standfast.cluster.risks import MUCH, risks
from tests.unit.cluster.database.sites import NAMES, site

SITE = site("mesh", 3)
WAYS_IN = tuple(Change(name, f"{TITLE}: file /etc/x", "why", about=TITLE) for name in NAMES[:3])
DROPS = tuple(
    Change("", f"two: remove an account with an empty password: u{n}@%", "why") for n in range(2)
)
GONE = tuple(Change("one", f"/etc/x{n} goes", "why") for n in range(MUCH + 1))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(WAYS_IN), ["The way in of all 3 servers that are set up is changed."]),
        (Plan(WAYS_IN[:2]), []),
        (Plan(WAYS_IN, later=NAMES[:3]), []),
        (Plan(WAYS_IN[:2], later=NAMES[2:3]),
         ["The way in of all 2 servers that are set up is changed."]),
        (Plan(DROPS), ["2 accounts of the databases will be dropped."]),
        (Plan(DROPS[:1]), ["An account of the databases will be dropped."]),
        (Plan(GONE), [f"{MUCH + 1} things are taken away."]),
        (Plan(GONE[1:]), []),
    ],
)  # fmt: skip
def test_what_may_cost_much_is_said_and_nothing_else(plan: Plan, words: list[str]) -> None:
    assert risks(SITE, plan) == words
