"""One rule per cause: from what is known of an incident to a finding, or None.

A rule is a pure function. Where two causes are equally likely the one that comes first is named,
so what is more telling stands before what is more general.
"""

from __future__ import annotations

from collections.abc import Callable

from standfast.diagnose.verdict.finding import Finding
from standfast.diagnose.verdict.readings import Readings

from . import application, exhaustion, operator, platform, waiting

Rule = Callable[[Readings], Finding | None]

RULES: tuple[Rule, ...] = (
    platform.host_restart,
    exhaustion.memory,
    application.stack_overflow,
    platform.memory,
    platform.database_down,
    platform.disk_full,
    platform.disk_read_only,
    platform.no_files,
    platform.no_processes,
    platform.overload,
    exhaustion.files,
    exhaustion.threads,
    application.crash,
    application.start_failure,
    waiting.timeout,
    waiting.hang,
    waiting.client,
    application.ended_itself,
    operator.consequence,
    operator.reload,
    operator.stop,
    operator.kill,
)
