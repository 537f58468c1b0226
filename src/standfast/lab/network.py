"""The lab's internet: a bridge, a cable to each server, and what can be cut.

Servers reach the real internet through this machine, for packages alone; nothing from outside
reaches them. A cut is made on the bridge, where no server's own firewall has a say.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

from . import kernel
from .commands import run, succeeds
from .plan import LABS, OUTSIDE, LabPlan, inner_address6


def set_up(plan: LabPlan) -> None:
    """Makes the bridge and its rules; does nothing where they are there."""
    if not succeeds("ip", "link", "show", plan.bridge):
        run("ip", "link", "add", plan.bridge, "type", "bridge")
    prefix = plan.network.prefixlen
    run("ip", "addr", "replace", f"{plan.gateway}/{prefix}", "dev", plan.bridge)
    run("ip", "addr", "replace", f"{inner_address6(plan.gateway)}/64", "dev", plan.bridge, "nodad")
    run("ip", "link", "set", plan.bridge, "up")
    kernel.set_up()
    run("nft", "-f", "-", given=_rules(plan))
    plug_in(plan, OUTSIDE, plan.outside)


def _rules(plan: LabPlan) -> str:
    network = plan.network
    return f"""
table inet {plan.table} {{
    chain leave {{
        type nat hook postrouting priority srcnat;
    }}
}}
flush chain inet {plan.table} leave
add rule inet {plan.table} leave ip saddr {network} ip daddr != {network} masquerade
table bridge {plan.table} {{
    set cut4 {{ type ipv4_addr . ipv4_addr; }}
    set cut6 {{ type ipv6_addr . ipv6_addr; }}
    chain cuts {{
        type filter hook forward priority filter;
    }}
}}
flush chain bridge {plan.table} cuts
add rule bridge {plan.table} cuts ip saddr . ip daddr @cut4 drop
add rule bridge {plan.table} cuts ip6 saddr . ip6 daddr @cut6 drop
"""


def plug_in(plan: LabPlan, name: str, address: str) -> None:
    """Makes the namespace of a server, or of the outside client, and its cable to the bridge."""
    space, cable = plan.namespace(name), plan.cable(name)
    if not Path("/run/netns", space).exists():
        run("ip", "netns", "add", space)
    if not succeeds("ip", "link", "show", cable):
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "link", "set", cable, "master", plan.bridge, "up")
    inside = ("ip", "-n", space)
    run(*inside, "addr", "replace", f"{address}/{plan.network.prefixlen}", "dev", "eth0")
    run(*inside, "addr", "replace", f"{inner_address6(address)}/64", "dev", "eth0", "nodad")
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "link", "set", "eth0", "up")
    run(*inside, "route", "replace", "default", "via", plan.gateway)


def forget_firewall(plan: LabPlan, name: str) -> None:
    """Empties a server's ruleset: a kernel that boots has none, and its namespace outlives it."""
    run("ip", "netns", "exec", plan.namespace(name), "nft", "flush", "ruleset")


def unplug(plan: LabPlan, name: str) -> None:
    """Takes a namespace and its cable away again."""
    succeeds("ip", "link", "del", plan.cable(name))
    succeeds("ip", "netns", "del", plan.namespace(name))


def cut(plan: LabPlan, one: str, other: str) -> None:
    """Lets nothing through between two servers any more, in either direction."""
    _change(plan, "add", one, other)


def join(plan: LabPlan, one: str, other: str) -> None:
    """Lets everything through between two servers again."""
    # Taking out what is not in is an error to nft, and none to us.
    cut(plan, one, other)
    _change(plan, "delete", one, other)


def cuts(plan: LabPlan) -> list[tuple[str, str]]:
    """Between which servers nothing passes, by their names."""
    listed = json.loads(run("nft", "--json", "list", "set", "bridge", plan.table, "cut4"))
    elements = [each for part in listed["nftables"] for each in part.get("set", {}).get("elem", ())]
    pairs = {tuple(each["concat"]) for each in elements}
    return [
        (one.name, other.name)
        for one, other in combinations(plan.servers, 2)
        if (one.address, other.address) in pairs
    ]


def _change(plan: LabPlan, verb: str, one: str, other: str) -> None:
    first, second = (server.address for server in plan.pair(one, other))
    pairs4 = f"{{ {first} . {second}, {second} . {first} }}"
    first6, second6 = inner_address6(first), inner_address6(second)
    pairs6 = f"{{ {first6} . {second6}, {second6} . {first6} }}"
    rules = [
        f"{verb} element bridge {plan.table} {name} {pairs}\n"
        for name, pairs in (("cut4", pairs4), ("cut6", pairs6))
    ]
    run("nft", "-f", "-", given="".join(rules))


def take_down(plan: LabPlan) -> None:
    """Takes all of it away, also what an earlier lab of this name has left."""
    listed = run("ip", "netns", "list").split()
    for space in [word for word in listed if word.startswith(f"{plan.bridge}-")]:
        unplug(plan, space.removeprefix(f"{plan.bridge}-"))
    succeeds("ip", "link", "del", plan.bridge)
    for family in ("inet", "bridge"):
        succeeds("nft", "delete", "table", family, plan.table)
    others = [each for each in LABS.glob("*/") if each != plan.folder]
    if not others:
        kernel.put_back()
