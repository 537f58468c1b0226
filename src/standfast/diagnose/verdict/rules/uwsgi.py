"""What uWSGI's own settings explain: its master ends workers, and tells of it in its log alone."""

from __future__ import annotations

from standfast.diagnose.verdict.readings import Readings, cite, text
from standfast.store import evidence

#: Its master looks at the clocks of its workers once a second; later on a busy machine.
_LATE_S = 5.0
_EARLY_S = 1.0


def harakiri(seen: Readings) -> list[str]:
    """That a request had been open for as long as ``harakiri`` lets it when the worker was killed;
    empty where it had not, or nobody set such a limit."""
    if seen.end.signal != "SIGKILL":
        return []
    said = []
    for fact in seen.case.all(evidence.SERVER_OPTIONS):
        limit = text(fact.data, "harakiri") or ""
        limit_s = int(limit) if limit.isdecimal() and len(limit) < 9 else 0
        ages = [(seen.case.died_ns - one.begun_ns) / 1e9 for one in seen.case.requests]
        fitting = [age for age in ages if limit_s - _EARLY_S <= age <= limit_s + _LATE_S]
        if limit_s and fitting:
            words = f"uWSGI kills a worker whose request takes longer than harakiri = {limit_s} s,"
            said.append(cite(fact, f"{words} and one had been open for {max(fitting):.1f} s"))
    return said
