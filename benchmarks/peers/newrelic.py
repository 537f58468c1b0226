"""newrelic, in its developer mode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from newrelic import agent

from . import App


def wsgi(app: App) -> Any:
    _start()
    return agent.WSGIApplicationWrapper(app)


def asgi(app: App) -> Any:
    _start()
    return agent.ASGIApplicationWrapper(app)


def held() -> Iterator[str]:
    """What it would have sent, as its audit log has it."""
    log = Path(os.environ["NEW_RELIC_AUDIT_LOG"])
    if log.exists():
        yield log.read_text(errors="replace")


def _start() -> None:
    agent.initialize()
    # It would ask the clouds' own addresses which of them it runs in.
    utilization = agent.global_settings().utilization
    for name in dir(utilization):
        if name.startswith("detect_"):
            setattr(utilization, name, False)
    agent.register_application(timeout=10.0)
