"""``standfast cluster``: several servers for one site, from one file."""

from __future__ import annotations

import argparse
import importlib

#: The actions, in the order in which the help shows them; each is a module of this package.
ACTIONS: tuple[str, ...] = (
    "init", "check", "plan", "apply", "status", "verify", "heal", "rejoin",
)  # fmt: skip


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "cluster",
        help="set up the servers of a site, and see how they are",
        description="Sets up the servers that site.toml names, keeps their databases alike, and "
        "says how they are.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name in ACTIONS:
        one = importlib.import_module(f"{__name__}.{name}").add(actions)
        one.add_argument(
            "-f", "--file", default="site.toml", metavar="FILE", help="default: site.toml here"
        )


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked."""
    module = importlib.import_module(f"{__name__}.{arguments.action}")
    status: int = module.run(arguments)
    return status
