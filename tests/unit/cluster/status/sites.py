"""Sites as they might be seen: three servers that are well, and ways to spoil that."""

from __future__ import annotations

from dataclasses import replace

from standfast.cluster.inventory import Server, Site
from standfast.cluster.status.observation import services
from standfast.cluster.status.seen import (
    Clock,
    Disk,
    Link,
    Replica,
    Seen,
    SiteSeen,
    Unreached,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEAYsaiHyGMbnoNxPKPNr7kcRmS9eQlj7R9SPtDiZ2ra ada"
NOW_S = 1_800_000_000.0


def site(*names: str, topology: str = "ring", **more: object) -> Site:
    """A site of these servers; of ie, nl and us where none are named."""
    names = names or ("ie", "nl", "us")
    servers = [
        {"name": name, "address": f"192.0.2.{at}", "location": f"City {at}"}
        for at, name in enumerate(names, 1)
    ]
    return Site.model_validate(
        {
            "name": "shop", "domain": "shop.example", "master": names[0], "servers": servers,
            "admins": [{"name": "ada", "keys": [KEY], "addresses": ["198.51.100.0/24"]}],
            "database": {"topology": topology}, **more,
        }
    )  # fmt: skip


def upstreams(one: Site, server: Server) -> list[Server]:
    """Whom a server replicates from: the one before it in the ring, or all others."""
    if one.database.topology == "mesh":
        return list(one.peers(server))
    at = one.servers.index(server)
    return [one.servers[at - 1]] if len(one.servers) > 1 else []


def well(one: Site) -> SiteSeen:
    """Every server as it should be."""
    return SiteSeen(NOW_S, {server.name: _seen(one, server) for server in one.servers})


def _seen(one: Site, server: Server) -> Seen:
    return Seen(
        boot_id="4c1b5a2e-0000-4000-8000-000000000000",
        uptime_s=86_400.0 * 12,
        load=(0.1, 0.2, 0.3),
        services=dict.fromkeys(services(one, server), "active"),
        disks=(Disk("/", 40 * 2**30, 0.41),),
        clock=Clock(0.0, 0.05),
        replica=Replica(
            read_at_s=NOW_S,
            beats={each.number: NOW_S - 0.4 for each in one.servers},
            positions={each.number: 100 for each in one.servers},
            links=tuple(Link(each.name, True, True) for each in upstreams(one, server)),
        ),
    )


def reached(seen: SiteSeen, name: str) -> Seen:
    """One server, which was reached."""
    one = seen.servers[name]
    assert isinstance(one, Seen)
    return one


def replica(seen: SiteSeen, name: str) -> Replica:
    """Its database, which answered."""
    found = reached(seen, name).replica
    assert found is not None
    return found


def with_server(seen: SiteSeen, name: str, one: Seen | Unreached) -> SiteSeen:
    """The same site but for one server."""
    return replace(seen, servers={**seen.servers, name: one})


def with_replica(seen: SiteSeen, name: str, one: Replica) -> SiteSeen:
    """The same site but for one server's database."""
    return with_server(seen, name, replace(reached(seen, name), replica=one))


def without_beats(one: Site, seen: SiteSeen, reader: str, *origins: str, age_s: float) -> SiteSeen:
    """``reader`` has got nothing of ``origins`` for so long."""
    found = replica(seen, reader)
    old = {one.server(name).number: found.read_at_s - age_s for name in origins}
    return with_replica(seen, reader, replace(found, beats={**found.beats, **old}))


def with_link_down(
    seen: SiteSeen, reader: str, peer: str, error: str, *, applies: bool = True
) -> SiteSeen:
    """The link from ``peer`` to ``reader`` receives nothing."""
    found = replica(seen, reader)
    links = tuple(
        Link(peer, False, applies, error) if link.peer == peer else link for link in found.links
    )
    return with_replica(seen, reader, replace(found, links=links))
