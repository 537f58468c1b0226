"""The databases of a site: each server writes, all replicate from one another.

``steps`` says what a server's MariaDB shall be like, ``observe`` what all of them are like, and
``heal``, which is pure, what is to be done between the two.
"""

from __future__ import annotations

from .observe import Account, Away, Link, Observed, Seen, observe
from .secrets import Certificate, Vault
from .setup import steps

__all__ = [
    "Account",
    "Away",
    "Certificate",
    "Link",
    "Observed",
    "Seen",
    "Vault",
    "observe",
    "steps",
]
