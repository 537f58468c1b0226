"""What of a plan is said first, and what is not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standfast.cluster.building import Plan
from standfast.cluster.engine import Change
from standfast.cluster.own_keys import blob
from standfast.cluster.provision.gate import TITLE
from standfast.cluster.provision.people import keys_file
from standfast.cluster.risks import MUCH, risks
from tests.unit.cluster.database.sites import NAMES, site


def public_key() -> str:
    """A new key's line as in a file ``.pub``."""
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


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
    assert risks(SITE, plan, frozenset()) == words


ANN, BOB = public_key(), public_key()
TWO = SITE.model_copy(update={"admins": tuple(
    SITE.admins[0].model_copy(update={"name": name, "keys": (key,)})
    for name, key in (("ann", ANN), ("bob", BOB))
)})  # fmt: skip


def keys_of(*names: str) -> Change:
    """A change of the way in of one server, with the keys of these admins in it."""
    parts = tuple(f"file {keys_file(name)}" for name in names)
    return Change("one", f"{TITLE}: {'; '.join(parts)}", "why", None, TITLE, parts)


@pytest.mark.parametrize(
    ("changed", "own_keys", "named"),
    [
        (("ann",), (ANN,), []),  # the tool logs in as ann, with the new keys
        (("ann", "bob"), (ANN,), ["bob"]),
        (("bob",), (), ["bob"]),
        (("bob",), (ANN, BOB), []),
        ((), (), []),
    ],
)
@pytest.mark.parametrize("later", [(), NAMES[:3]], ids=["set up", "new"])
def test_whose_login_nobody_can_prove_is_said(
    changed: tuple[str, ...], own_keys: tuple[str, ...], named: list[str], later: tuple[str, ...]
) -> None:
    plan = Plan((keys_of(*changed),), later)
    said = risks(TWO, plan, {blob(key) for key in own_keys})
    assert [words.split(" change")[0] for words in said] == [f"The keys of {n}" for n in named]
