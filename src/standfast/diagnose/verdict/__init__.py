"""Whose fault it was: rules over evidence, one per cause, and what they come to.

docs/verdicts.md lists the causes, what each needs and what refutes it.
"""

from __future__ import annotations

from .case import Case, Unfinished
from .causes import CAUSES, PARTIES, Cause
from .loading import load
from .period import Judged, PeriodVerdict, combine, period_verdict
from .verdict import Verdict, judge, verdicts

__all__ = [
    "CAUSES",
    "PARTIES",
    "Case",
    "Cause",
    "Judged",
    "PeriodVerdict",
    "Unfinished",
    "Verdict",
    "combine",
    "judge",
    "load",
    "period_verdict",
    "verdicts",
]
