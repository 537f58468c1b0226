"""``standfast cluster status``: how every server is, on one screen."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from typing import TYPE_CHECKING

from . import progress

if TYPE_CHECKING:
    from standfast.cluster.database.observe import Remotes
    from standfast.cluster.inventory import Site

_PAUSE_S = 2.0


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "status",
        help="how every server is",
        description="Looks at all servers at once: services, replication and how far it is behind "
        "in truth, disks, clocks. Ends with status 1 when anything is wrong.",
    )
    parser.add_argument("--json", action="store_true", help="for programs, see docs/status.md")
    parser.add_argument("--watch", action="store_true", help="again every two seconds, until ^C")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Shows how the servers are; 1 when something is wrong."""
    from standfast.cluster.inventory import load_site
    from standfast.cluster.status.observation import admins_way

    site = load_site(arguments.file)
    do = watch if arguments.watch else look
    return do(site, admins_way(site), as_json=arguments.json)


def watch(site: Site, remotes: Remotes, *, as_json: bool) -> int:
    """Looks again and again until Ctrl-C; the exit status of the last look."""
    status = 0
    try:
        while True:
            status = look(site, remotes, as_json=as_json, again=True)
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        return status


def look(site: Site, remotes: Remotes, *, as_json: bool, again: bool = False) -> int:
    """Looks at all servers once and shows how they are; 1 when something is wrong."""
    from standfast.cluster.status import observation, shape
    from standfast.cluster.status.judgement import judge

    if as_json:
        seen = observation.observe(site, remotes)
        findings = judge(site, seen)
        # A line for each, so that a program can read them as they come.
        indent = None if again else 2
        print(json.dumps(shape.as_json(site, seen, findings), indent=indent), flush=True)
        return 1 if findings else 0
    from .screen import console, screen, show

    out = console()
    rewrites = again and out.is_terminal
    with contextlib.nullcontext(_nothing) if rewrites else progress.shown() as tell:
        tell("every server is looked at")
        seen = observation.observe(site, remotes)
    findings = judge(site, seen)
    if rewrites:
        out.clear()
    show(out, screen(site, seen, findings))
    if again and not rewrites:
        print()
    return 1 if findings else 0


def _nothing(words: str) -> None:
    """A screen that is rewritten stays as it is until then."""
