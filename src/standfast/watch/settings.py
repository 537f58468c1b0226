"""What the owner may choose about watching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from standfast.settings import HOPS_LIMIT

from .proxies import Proxies
from .routes import ROUTE_LIMIT

DAY_S = 86_400.0


@dataclass(frozen=True)
class Settings:
    """Thresholds and times, in seconds.

    ``slow_s`` is the duration from which a request counts as slow, ``slow_s_by_app`` the
    exceptions by application. How long what is kept: rows of ordinary requests
    ``keep_ordinary_s``, of slow and failed ones ``keep_slow_s`` and ``keep_failed_s``, incidents
    with their requests and evidence ``keep_incidents_s``, roll-ups by minute, hour and day
    ``keep_minutes_s``, ``keep_hours_s`` and ``keep_days_s``.
    ``poll_s`` is how often journals are looked at, ``store_wait_s`` how long a watcher that
    drains once waits for a store that is away. An application has ``route_limit`` routes.
    ``server_logs`` are the paths of the servers' own logs. A request that is open for ``hang_s``,
    and is slow by then, hangs. Workers are looked at every ``sample_s``, no oftener than journals
    are. ``database`` is the URL of the applications' database, to see whether it is there.
    ``trusted_proxies``, ``proxy_hops`` and ``truncate_clients`` are as in ``Proxies``.
    """

    slow_s: float = 1.0
    slow_s_by_app: Mapping[str, float] = field(default_factory=dict)
    keep_ordinary_s: float = 3600.0
    keep_slow_s: float = 14 * DAY_S
    keep_failed_s: float = 30 * DAY_S
    keep_incidents_s: float = 90 * DAY_S
    keep_minutes_s: float = 8 * DAY_S
    keep_hours_s: float = 90 * DAY_S
    keep_days_s: float = 730 * DAY_S
    poll_s: float = 0.2
    store_wait_s: float = 60.0
    route_limit: int = ROUTE_LIMIT
    server_logs: tuple[str, ...] = ()
    hang_s: float = 60.0
    sample_s: float = 0.5
    database: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_hops: int = HOPS_LIMIT
    truncate_clients: bool = False

    def slow_ns(self, app: str) -> int:
        """The threshold of one application, in nanoseconds."""
        return min(int(self.slow_s_by_app.get(app, self.slow_s) * 1e9), 2**62)

    def proxies(self) -> Proxies:
        """Who is believed about the client's address."""
        return Proxies(self.trusted_proxies, self.proxy_hops, truncated=self.truncate_clients)
