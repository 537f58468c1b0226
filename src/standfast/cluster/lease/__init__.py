"""A lease on each server: only who holds it changes the server.

``decision`` says, as a pure function, what is to be done from what is seen of the leases;
``place`` is the file on a server, ``holding`` takes, renews and gives back.
"""

from __future__ import annotations

from .decision import Lease
from .holding import Hold, Lost, Taken, held

__all__ = ["Hold", "Lease", "Lost", "Taken", "held"]
