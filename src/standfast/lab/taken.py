"""Whether a lab's addresses, or its name, are taken already: what is found on this machine decides.

A lab comes up only where no other link of this machine has an address of its network, and where a
lab of its name that is up came from the same file: one would be brought up over the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from standfast.errors import StandfastError

from .commands import run
from .plan import LABS, LabPlan

#: In a lab's folder: the file that it was brought up from.
_FILE = "site-file"


@dataclass(frozen=True)
class Link:
    """A link of this machine and a network in which it has an address."""

    name: str
    network: IPv4Network


def refuse(plan: LabPlan) -> None:
    """Raises StandfastError where this lab must not come up."""
    found = [
        Link(link["ifname"], IPv4Network(f"{each['local']}/{each['prefixlen']}", strict=False))
        for link in json.loads(run("ip", "-j", "-4", "addr", "show") or "[]")
        for each in link.get("addr_info", ())
    ]
    labs = {folder.name: _read(folder) for folder in LABS.glob("*/")}
    if (why := objection(plan, found, labs)) is not None:
        raise StandfastError(f"{why}. Nothing was done.")


def remember(plan: LabPlan) -> None:
    """From now on it is known which file this lab came from."""
    (plan.folder / _FILE).write_text(plan.file, "utf-8")


def objection(plan: LabPlan, links: Sequence[Link], labs: Mapping[str, str | None]) -> str | None:
    """Why a lab must not come up; None where it may. ``labs`` has those of this machine by name,
    with the file that each came from, where that is known and is still there."""
    for link in links:
        if link.name == plan.bridge:
            file = labs.get(plan.site)
            if file is not None and plan.file and file != plan.file:
                return (
                    f"a lab of the name {plan.site} is up already, from {file}: take it down"
                    f" (standfast lab down -f {file}), or give this site another name"
                )
        elif link.network.overlaps(plan.network):
            return f"{plan.network}, the network of these servers, is {_whose(plan, link, labs)}"
    return None


def _whose(plan: LabPlan, link: Link, labs: Mapping[str, str | None]) -> str:
    for name, file in labs.items():
        if replace(plan, site=name).bridge == link.name:
            option = f" -f {file}" if file else ""
            return (
                f"that of the lab {name}, which is up: take it down (standfast lab down{option}),"
                " or give the servers of this site other addresses"
            )
    return (
        f"one that this machine is in itself (by {link.name}): give the servers of this site other"
        " addresses"
    )


def _read(folder: Path) -> str | None:
    try:
        file = (folder / _FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return file if Path(file).is_file() else None
