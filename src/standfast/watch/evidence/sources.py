"""Every source of evidence that there is."""

from __future__ import annotations

from standfast.watch.settings import Settings

from .collector import Collector
from .curve import Curve
from .exits import PidfdExits
from .logs import Logs
from .parents import Parents
from .process_events import ProcessEvents
from .services import Services


def all_collectors(settings: Settings) -> list[Collector]:
    """One of each, as the owner has chosen."""
    return [
        PidfdExits(),
        Curve(),
        ProcessEvents(),
        Parents(),
        Services(),
        Logs(settings.server_logs),
    ]
