"""What the owner may choose about watching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .routes import ROUTE_LIMIT


@dataclass(frozen=True)
class Settings:
    """Thresholds and times, in seconds.

    ``slow_s`` is the duration from which a request counts as slow, ``slow_s_by_app`` the
    exceptions by application. Rows of ordinary requests are kept for ``keep_ordinary_s``.
    ``poll_s`` is how often journals are looked at, ``store_wait_s`` how long a watcher that
    drains once waits for a store that is away. An application has ``route_limit`` routes.
    ``server_logs`` are the paths of the servers' own logs. A request that is open for ``hang_s``,
    and is slow by then, hangs. Workers are looked at every ``sample_s``, no oftener than journals
    are. ``database`` is the URL of the applications' database, to see whether it is there.
    """

    slow_s: float = 1.0
    slow_s_by_app: Mapping[str, float] = field(default_factory=dict)
    keep_ordinary_s: float = 3600.0
    poll_s: float = 0.2
    store_wait_s: float = 60.0
    route_limit: int = ROUTE_LIMIT
    server_logs: tuple[str, ...] = ()
    hang_s: float = 60.0
    sample_s: float = 0.5
    database: str = ""

    def slow_ns(self, app: str) -> int:
        """The threshold of one application, in nanoseconds."""
        return min(int(self.slow_s_by_app.get(app, self.slow_s) * 1e9), 2**62)
