"""Every source of evidence that there is."""

from __future__ import annotations

from standfast.watch.settings import Settings

from .client_waits import ClientWaits
from .collector import Collector
from .curve import Curve
from .database import Database
from .disks import Disks
from .exits import PidfdExits
from .host import Host
from .kernel_log import KernelLog
from .limits import Limits
from .logs import Logs
from .oom_counter import OomCounters
from .parents import Parents
from .process_events import ProcessEvents
from .services import Services

#: Those that can tell something of a worker that lives.
MOMENTARY = (Curve, Host, Disks, Limits, Database)


def all_collectors(settings: Settings) -> list[Collector]:
    """One of each, as the owner has chosen."""
    database = [Database(settings.database)] if settings.database else []
    return [
        PidfdExits(),
        Curve(),
        KernelLog(),
        OomCounters(),
        ClientWaits(),
        Host(),
        Disks(),
        Limits(),
        *database,
        ProcessEvents(),
        Parents(),
        Services(),
        Logs(settings.server_logs),
    ]
