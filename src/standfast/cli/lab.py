"""``standfast lab``: the servers of a site as whole Debian machines on this one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standfast.lab import Lab, LabPlan

#: How much of a server's name is shown.
_NAME = 20

_ACTIONS = {
    "up": "boot the servers of the site, or those that do not run",
    "status": "which servers there are, at which addresses, and what is cut",
    "down": "take all of it away, with the servers' disks",
    "shell": "a shell on a server's console, or a command: it needs no network",
    "cut": "cut the link between two servers",
    "join": "mend the link between two servers",
    "kill": "take a server's power away; its disk stays",
    "start": "boot a server that was killed",
}
_NAMES: dict[str, tuple[str, ...]] = {"shell": ("name",), "kill": ("name",), "start": ("name",)}
_NAMES |= {"cut": ("one", "other"), "join": ("one", "other")}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "lab",
        help="try a site out on whole servers on this machine",
        description="Boots the servers of site.toml as whole Debian machines on this one, with a "
        "network that can be cut. Needs root and a few Debian packages, and says which.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for action, text in _ACTIONS.items():
        one = actions.add_parser(action, help=text, description=f"{text.capitalize()}.")
        for name in _NAMES.get(action, ()):
            one.add_argument(name, metavar="NAME" if name == "name" else name.upper())
        if action == "shell":
            one.add_argument("words", nargs="*", metavar="CMD", help="after --")
        one.add_argument(
            "-f", "--file", default="site.toml", metavar="FILE", help="default: site.toml here"
        )


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked."""
    from standfast.cluster.inventory import load_site
    from standfast.cluster.provision import EVERY_SITE
    from standfast.lab import Lab, LabPlan, LabServer

    site = load_site(arguments.file)
    servers = tuple(
        LabServer(server.name, str(server.address), server.ssh_port) for server in site.servers
    )
    keys = tuple(key for admin in site.admins for key in admin.keys)
    file = str(Path(arguments.file).resolve())
    lab = Lab(LabPlan(site.name, servers, keys, EVERY_SITE, file), _say)
    do = {
        "up": _up,
        "status": _status,
        "down": _down,
        "shell": _shell,
        "cut": _cut,
        "join": _join,
        "kill": _kill,
        "start": _start,
    }[arguments.action]
    try:
        return do(lab, arguments)
    finally:
        _clear()


def _say(words: str) -> None:
    """Progress: on one line of a terminal, else a line each."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{words[:78]}", end="", file=sys.stderr, flush=True)
    else:
        print(words, file=sys.stderr, flush=True)


def _clear() -> None:
    """Ends the line of progress, so that nothing else is written behind it."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _ready(words: str) -> int:
    _clear()
    print(words)
    return 0


def _up(lab: Lab, _: argparse.Namespace) -> int:
    lab.up()
    return _ready(shown(lab.plan, lab.states(), lab.cuts()))


def _status(lab: Lab, _: argparse.Namespace) -> int:
    return _ready(shown(lab.plan, lab.states(), lab.cuts()))


def shown(plan: LabPlan, states: Mapping[str, str], cuts: Sequence[tuple[str, str]]) -> str:
    """The servers with their addresses and what they do, this machine's own, and what is cut."""
    from standfast.cli.tables import crop
    from standfast.lab.plan import inner_address6

    def line(name: str, address: str, state: str) -> str:
        return f"{name:<{widest}}  {address:<15}  {inner_address6(address):<18}  {state}".rstrip()

    names = {server.name: crop(server.name, _NAME) for server in plan.servers}
    here = "this machine"
    widest = max(map(len, [*names.values(), here]))
    lines = [line(names[s.name], s.address, states[s.name]) for s in plan.servers]
    lines.append(line(here, plan.gateway, ""))
    lines += [f"Nothing passes between {one} and {other}." for one, other in cuts]
    return "\n".join(lines)


def _down(lab: Lab, _: argparse.Namespace) -> int:
    lab.down()
    return _ready(f"The lab of {lab.plan.site} is gone.")


def _shell(lab: Lab, arguments: argparse.Namespace) -> int:
    return lab.console(arguments.name, arguments.words)


def _cut(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.cut(arguments.one, arguments.other)
    return _ready(f"Nothing passes between {arguments.one} and {arguments.other} any more.")


def _join(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.join(arguments.one, arguments.other)
    return _ready(f"{arguments.one} and {arguments.other} reach one another again.")


def _kill(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.kill(arguments.name)
    return _ready(f"{arguments.name} has lost its power.")


def _start(lab: Lab, arguments: argparse.Namespace) -> int:
    lab.start(arguments.name)
    return _ready(f"{arguments.name} answers again.")
