"""What was seen and judged, as docs/status.md promises it to programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from standfast.cluster.inventory import Server, Site

from .judgement import Finding
from .matrix import ages, behind
from .seen import Replica, SiteSeen, Unreached


def as_json(site: Site, seen: SiteSeen, findings: Sequence[Finding]) -> dict[str, Any]:
    """The whole answer; a list for each matrix, for a server's name may be anything."""
    return {
        "site": site.name,
        "topology": site.database.topology,
        "at": datetime.fromtimestamp(seen.at_s, UTC).isoformat(timespec="milliseconds"),
        "well": not findings,
        "servers": [_server(seen, server) for server in site.servers],
        "heartbeats": [
            {"of": origin, "on": reader, "age_s": None if age is None else round(age, 3)}
            for (origin, reader), age in ages(site, seen).items()
        ],
        "behind": [
            {"of": origin, "on": reader, "transactions": count}
            for (origin, reader), count in behind(site, seen).items()
        ],
        "wrong": [asdict(finding) for finding in findings],
    }


def _server(seen: SiteSeen, server: Server) -> dict[str, Any]:
    about = {
        "name": server.name,
        "number": server.number,
        "location": server.location,
        "address": str(server.address),
    }
    one = seen.servers[server.name]
    if isinstance(one, Unreached):
        return {
            **about, "reached": False, "error": one.why, "boot_id": None, "uptime_s": None,
            "load": None, "services": {}, "otherwise": [], "disks": [], "clock": None,
            "database": None,
        }  # fmt: skip
    return {
        **about,
        "reached": True,
        "error": None,
        "boot_id": one.boot_id,
        "uptime_s": one.uptime_s,
        "load": list(one.load),
        "services": dict(one.services),
        "otherwise": list(one.otherwise),
        "disks": [asdict(disk) for disk in one.disks],
        "clock": {
            "offset_s": round(one.clock.offset_s, 3),
            "accuracy_s": round(one.clock.accuracy_s, 3),
        },
        "database": {"error": one.database_error or None, "links": _links(one.replica)},
    }


def _links(replica: Replica | None) -> list[dict[str, Any]] | None:
    if replica is None:
        return None
    return [
        {
            "from": link.peer,
            "reads": link.reads,
            "applies": link.applies,
            "error": link.error or None,
        }
        for link in replica.links
    ]
