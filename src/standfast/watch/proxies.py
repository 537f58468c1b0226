"""Which address a request comes from, where it comes through proxies.

X-Forwarded-For (RFC 7239, section 7.4, tells of it) grows at its right end: each proxy appends
the address that it was asked from. What a proxy of ours has appended is true, what stands to the
left of it is anybody's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from standfast.settings import HOPS_LIMIT

#: A proxy that speaks through a Unix socket, where a connection has no address.
UNIX = "unix"
_CACHE = 4096
#: No more of a header is looked at, in bytes.
_READ_LIMIT = 4096
_TRUNCATED = {4: 24, 6: 48}

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class Proxies:
    """Proxies whose X-Forwarded-For is believed, and how many of them a request passes at most.

    ``trusted`` are addresses, networks and ``unix``. Where the recorder truncates addresses
    (``truncated``), all of a /24 or /48 stand for the proxy in it. Raises ValueError.
    """

    def __init__(self, trusted: Sequence[str] = (), hops: int = HOPS_LIMIT, *, truncated: bool):
        networks = [ip_network(one, strict=False) for one in trusted if one != UNIX]
        self._networks = [_widened(one) if truncated else one for one in networks]
        self._unix = UNIX in trusted
        self._hops = hops
        self._resolved = lru_cache(_CACHE)(self._resolve)
        self.any = bool(trusted)

    def client(self, peer: str, forwarded_for: str) -> str:
        """The right-most address that is no trusted proxy; ``peer`` where that is the peer."""
        if not self.any:
            return peer
        trusted = self._unix if not peer else self._trusts(_address(peer))
        client = peer
        named = forwarded_for[-_READ_LIMIT:].split(",") if forwarded_for else []
        for hop, text in enumerate(reversed(named)):
            if not trusted or hop == self._hops:
                break
            address = _address(text)
            if address is None:
                break
            client, trusted = str(address), self._trusts(address)
        return client

    def texts(self, raw: bytes) -> bytes:
        """The texts of a begin record, with the client in the place of the peer."""
        peer, method, uri, host, forwarded_for, *rest = raw.split(b"\0", 5) + [b""] * 5
        if not forwarded_for:
            return raw
        client = self._resolved(peer, forwarded_for)
        return raw if client == peer else client + raw[len(peer) :]

    def _resolve(self, peer: bytes, forwarded_for: bytes) -> bytes:
        told = forwarded_for.decode("utf-8", "replace")
        return self.client(peer.decode("utf-8", "replace"), told).encode()

    def _trusts(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address as proxies write it, with or without brackets and a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _widened(network: _Network) -> _Network:
    prefix = _TRUNCATED[network.version]
    return network.supernet(new_prefix=prefix) if network.prefixlen > prefix else network
