"""Real faults in real servers: how each is brought about, and what its true cause is."""

from __future__ import annotations

from . import application, client, operator, platform
from .stage import Fault, Stage

FAULTS = (*application.FAULTS, *platform.FAULTS, *operator.FAULTS, *client.FAULTS)

__all__ = ["FAULTS", "Fault", "Stage"]
