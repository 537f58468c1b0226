"""What uWSGI's master does to its workers without a word but in its log: by its own settings.

Where its log is not read, the settings that the worker has recorded tell what may have ended it.
"""

from __future__ import annotations

from standfast.diagnose.verdict.readings import Readings
from standfast.diagnose.words import duration, size
from standfast.store import evidence
from standfast.store.evidence import Source

#: Exit codes by which its workers leave when they are told to (core/uwsgi.h): reload, quiet end,
#: end, reload at once.
CODES = {
    17: "operator_reload",
    29: "operator_stop",
    30: "operator_stop",
    31: "operator_reload",
}
#: What is said where neither its log nor its settings are known.
LOG_WOULD_TELL = (
    "uWSGI's master kills workers too (harakiri, reload-on-rss, its mercy), and tells of it in its"
    " log alone: name that log with server_logs."
)
#: harakiri is looked at once a second.
_EARLY_S, _LATE_S = 0.5, 4.0
_MIB = 2**20


def is_uwsgi(seen: Readings) -> bool:
    """Whether the worker was one of uWSGI's."""
    return seen.case.server.lower().startswith("uwsgi")


def has_log(seen: Readings) -> bool:
    """Whether its log was read."""
    return any(fact.source == Source.SERVER_LOG for fact in seen.case.facts)


def has_settings(seen: Readings) -> bool:
    """Whether its settings are known."""
    return seen.case.first(evidence.SERVER_OPTIONS) is not None


def harakiri(seen: Readings) -> list[str]:
    """What says that the worker was killed because a request took longer than ``harakiri``."""
    limit_s = _setting(seen, "harakiri")
    begun_ns = [request.begun_ns for request in seen.case.requests]
    if not limit_s or not begun_ns or not _may_have_been_killed(seen):
        return []
    ages_s = [(seen.case.died_ns - ns) / 1e9 for ns in begun_ns]
    found = [age for age in ages_s if limit_s - _EARLY_S <= age <= limit_s + _LATE_S]
    return [
        f"uWSGI kills a worker whose request takes longer than its setting harakiri, {limit_s:g} s;"
        f" one was open for {duration(age_s)} (journal)."
        for age_s in found[:1]
    ]


def grew_too_large(seen: Readings) -> list[str]:
    """What says that it was killed because it was larger than ``evil-reload-on-rss``."""
    limit_mib = _setting(seen, "evil-reload-on-rss")
    sizes = [value for _, value in seen.column("rss")][-3:]
    if not limit_mib or not sizes or not _may_have_been_killed(seen):
        return []
    if max(sizes) < limit_mib * _MIB:
        return []
    return [
        "uWSGI kills a worker that is larger than its setting evil-reload-on-rss,"
        f" {limit_mib:g} MiB; it had {size(max(sizes))} (journal, /proc)."
    ]


def _may_have_been_killed(seen: Readings) -> bool:
    return is_uwsgi(seen) and seen.end.signal == "SIGKILL" and not has_log(seen)


def _setting(seen: Readings, name: str) -> float | None:
    fact = seen.case.first(evidence.SERVER_OPTIONS)
    value = fact.data.get(name) if fact is not None else None
    if not isinstance(value, str) or not value.isdecimal() or len(value) > 9:
        return None
    return float(value)
