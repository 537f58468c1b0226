"""What a lab consists of, and how its parts are called on this machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from standfast.errors import UsageError

#: What is kept of a lab between commands, and what is kept of all labs.
LABS = Path("/var/lib/standfast-lab")
CACHE = Path("/var/cache/standfast-lab")
_BITS = 24
#: The last part of the outside client's address.
_OUTSIDE = 250
OUTSIDE = "outside"


@dataclass(frozen=True)
class LabServer:
    """One server: its host name and its IPv4 address. ``ssh_port`` is where SSH answers once it
    is set up."""

    name: str
    address: str
    ssh_port: int = 22


@dataclass(frozen=True)
class LabPlan:
    """The servers of one site. ``keys`` are public keys in OpenSSH's form: as a provider does,
    the lab lets their owners log in as root the first time. ``packages`` are Debian packages that
    the servers will be told to install: they need not be fetched then. ``file`` is the absolute
    path of the file of the site; nothing where there is none."""

    site: str
    servers: tuple[LabServer, ...]
    keys: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError for addresses that one bridge cannot carry."""
        for server in self.servers:
            try:
                address = ip_address(server.address)
            except ValueError:
                address = None
            if address is None or address.version != 4 or address not in self.network:
                raise UsageError(
                    f"{server.name}: {server.address} is not an IPv4 address of the lab's network"
                    f" {self.network}; all servers of a lab share their first three numbers."
                )
            if server.address in (self.gateway, self.outside):
                raise UsageError(
                    f"{server.name}: {server.address} is taken: {self.gateway} is this machine,"
                    f" {self.outside} the outside client."
                )

    @property
    def network(self) -> IPv4Network:
        """The network of the first server's address, of 24 bits."""
        return IPv4Network(f"{self.servers[0].address}/{_BITS}", strict=False)

    @property
    def gateway(self) -> str:
        """This machine's own address in the lab, from which the admin comes."""
        return str(self.network.network_address + 1)

    @property
    def outside(self) -> str:
        """The address of a client that is neither a server nor an admin."""
        return str(self.network.network_address + _OUTSIDE)

    @property
    def folder(self) -> Path:
        """Where this lab's servers keep their disks."""
        return LABS / self.site

    @property
    def bridge(self) -> str:
        """The name of the bridge, which is the internet of this lab."""
        return f"sfl{_digest(self.site)}"

    @property
    def table(self) -> str:
        """The name of the lab's tables in nftables."""
        return f"standfast_lab_{_digest(self.site)}"

    def namespace(self, name: str) -> str:
        """The network namespace of a server or of the outside client."""
        return f"{self.bridge}-{name}"

    def cable(self, name: str) -> str:
        """The name of the bridge's end of a server's cable; the other end is its eth0."""
        return f"sfc{_digest(f'{self.site} {name}')}"

    def server(self, name: str) -> LabServer:
        """The server of this name. Raises UsageError, which names those that there are."""
        for server in self.servers:
            if server.name == name:
                return server
        known = ", ".join(server.name for server in self.servers)
        raise UsageError(f"there is no server {name!r} in this lab; there are {known}")

    def pair(self, one: str, other: str) -> tuple[LabServer, LabServer]:
        """Two servers between which there is a link. Raises UsageError."""
        found = self.server(one), self.server(other)
        if one == other:
            raise UsageError(f"a link is between two servers: {one!r} is named twice")
        return found


def inner_address6(address: str) -> str:
    """The IPv6 address that belongs to an IPv4 address of the lab: of a network of its own."""
    a, b, c, d = address.split(".")
    return f"fd{int(a):02x}:{int(b):x}:{int(c):x}::{int(d):x}"


def _digest(text: str) -> str:
    # Names of links have at most fifteen characters.
    return hashlib.sha256(text.encode()).hexdigest()[:8]
