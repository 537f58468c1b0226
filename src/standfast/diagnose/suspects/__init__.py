"""Which request brings the workers down, by statistics alone: no I/O, no store, no clock.

``rank`` is the way in; docs/suspects.md explains the model and what it reaches.
"""

from __future__ import annotations

from .facts import CERTAIN, Exposure, Incident, Request, expose
from .findings import Ranking, Suspect
from .ranking import rank

__all__ = ["CERTAIN", "Exposure", "Incident", "Ranking", "Request", "Suspect", "expose", "rank"]
