"""The databases of a site: each server writes, all replicate from one another.

``steps`` says what a server's MariaDB shall be like, ``observe`` what all of them are like, and
``heal``, which is pure, what is to be done between the two.
"""

from __future__ import annotations

from .actions import HealingStep, NeedsPerson, Wait
from .heal import heal
from .observe import Account, Away, Link, Observed, Remotes, Seen, observe
from .secrets import Certificate, Vault
from .settle import Unsettled, carry_out, settle, what_is_missing
from .setup import in_force, steps

__all__ = [
    "Account",
    "Away",
    "Certificate",
    "HealingStep",
    "Link",
    "NeedsPerson",
    "Observed",
    "Remotes",
    "Seen",
    "Unsettled",
    "Vault",
    "Wait",
    "carry_out",
    "heal",
    "in_force",
    "observe",
    "settle",
    "steps",
    "what_is_missing",
]
