"""The firewall of one server as a ruleset of nftables.

Web and name service are for all; SSH, FTP and the database for peers and admins alone; nothing
else is let in, by IPv4 or IPv6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

#: The table that is ours: what other programs have set up beside it stays.
TABLE = "standfast"
MARIADB = 3306
FTP = 21
#: Where an FTP client is told to come for its data.
PASSIVE = (40000, 40099)
_WEB_AND_NAMES = (53, 80, 443)

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Openings:
    """Who may come in: ``admins`` and ``peers`` are addresses or networks as text. ``ftp`` says
    that this server takes uploads."""

    ssh_port: int
    admins: Sequence[str]
    peers: Sequence[str]
    ftp: bool = False


def ruleset(openings: Openings) -> str:
    """The ruleset, which takes the place of an earlier one in one step (``nft -f``).

    Raises ValueError for what is neither an address nor a network.
    """
    known = list(_networks([*openings.admins, *openings.peers]))
    four = [each for each in known if isinstance(each, IPv4Network)]
    six = [each for each in known if isinstance(each, IPv6Network)]
    ports = [str(openings.ssh_port), str(MARIADB)]
    if openings.ftp:
        ports += [str(FTP), f"{PASSIVE[0]}-{PASSIVE[1]}"]
    return f"""# Written by standfast; `standfast cluster apply` writes it anew.
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{_set("known4", "ipv4_addr", four)}
{_set("known6", "ipv6_addr", six)}
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        # Without these there are no neighbours, no routes and no packet sizes.
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert,\
 packet-too-big, destination-unreachable, time-exceeded, parameter-problem, echo-request }} accept
        icmp type {{ destination-unreachable, time-exceeded, parameter-problem,\
 echo-request }} accept
        tcp dport {{ {", ".join(map(str, _WEB_AND_NAMES))} }} accept
        udp dport 53 accept
        # A lease by DHCP for IPv6 is renewed from a neighbour's own address (RFC 8415).
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
        ip saddr @known4 tcp dport {{ {", ".join(ports)} }} accept
        ip6 saddr @known6 tcp dport {{ {", ".join(ports)} }} accept
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
}}
"""


def _networks(texts: Iterable[str]) -> Iterable[Network]:
    """Those of each version in order, without any that lies within another."""
    found = [ip_network(text, strict=False) for text in texts]
    yield from collapse_addresses(each for each in found if isinstance(each, IPv4Network))
    yield from collapse_addresses(each for each in found if isinstance(each, IPv6Network))


def _set(name: str, kind: str, networks: Sequence[Network]) -> str:
    elements = f" elements = {{ {', '.join(map(str, networks))} }};" if networks else ""
    return f"    set {name} {{ type {kind}; flags interval;{elements} }}"
