"""One rule per cause: from what is known of an incident to a finding, or None.

A rule is a pure function. Where two causes are equally likely the one that comes first is named,
so what is more telling stands before what is more general.
"""

from __future__ import annotations

from collections.abc import Callable

from standfast.diagnose.verdict.finding import Finding
from standfast.diagnose.verdict.readings import Readings

from . import application, operator, platform

Rule = Callable[[Readings], Finding | None]

RULES: tuple[Rule, ...] = (
    platform.host_restart,
    application.memory,
    application.stack_overflow,
    platform.memory,
    platform.database_down,
    platform.disk_full,
    platform.disk_read_only,
    platform.no_files,
    platform.no_processes,
    platform.overload,
    application.files,
    application.threads,
    application.crash,
    application.start_failure,
    application.timeout,
    application.hang,
    application.ended_itself,
    operator.reload,
    operator.stop,
    operator.kill,
)
