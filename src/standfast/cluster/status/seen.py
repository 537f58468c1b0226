"""What was seen of a site at one moment, as data: nothing is asked of a server here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .tables import Table


@dataclass(frozen=True)
class Disk:
    """The file system under ``path``; ``used`` is a share of what anybody may use of it."""

    path: str
    free_b: int
    used: float


@dataclass(frozen=True)
class Clock:
    """How far a server's clock is ahead of this machine's, give or take ``accuracy_s``."""

    offset_s: float
    accuracy_s: float


@dataclass(frozen=True)
class Link:
    """Replication from ``peer``: its two threads, and what it last complained of."""

    peer: str
    reads: bool
    applies: bool
    error: str = ""

    @property
    def runs(self) -> bool:
        """Both threads do."""
        return self.reads and self.applies


@dataclass(frozen=True)
class Replica:
    """What a server's database says. Times are by the server's own clock, in seconds since 1970.

    ``beats``: by server's number, the newest heartbeat there is of it; None where none has come.
    ``positions``: by number, the last transaction that there is of it.
    """

    read_at_s: float
    beats: Mapping[int, float | None]
    positions: Mapping[int, int]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Seen:
    """One server that was reached. ``services`` has the state of each, in systemd's word."""

    boot_id: str
    uptime_s: float
    load: tuple[float, float, float]
    services: Mapping[str, str]
    disks: tuple[Disk, ...]
    clock: Clock
    replica: Replica | None
    #: Why there is no ``replica``.
    database_error: str = ""
    #: Its tables; empty where they could not be read in time.
    tables: Mapping[str, Table] = field(default_factory=dict)
    #: What is in force that the site's file does not say, as what would have to be so.
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unreached:
    """A server that was not reached, and why."""

    why: str


@dataclass(frozen=True)
class SiteSeen:
    """All servers by name, in the order of the site's list, at a time in seconds since 1970."""

    at_s: float
    servers: Mapping[str, Seen | Unreached] = field(default_factory=dict)

    def reached(self) -> dict[str, Seen]:
        """Those that were reached."""
        return {name: one for name, one in self.servers.items() if isinstance(one, Seen)}

    def replicas(self) -> dict[str, Replica]:
        """The databases that answered."""
        return {name: one.replica for name, one in self.reached().items() if one.replica}
