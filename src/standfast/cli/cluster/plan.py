"""``standfast cluster plan``: what ``apply`` would change."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from standfast.cli.tables import print_whole

from . import progress

if TYPE_CHECKING:
    from standfast.cluster.building import Plan
    from standfast.cluster.engine import Change
    from standfast.cluster.inventory import Site

#: What is said where nothing is to be done.
NO_CHANGES = "No changes: every server is as the file says."


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "plan",
        help="show what apply would change on each server",
        description="Looks at every server and shows what `standfast cluster apply` would change,"
        " with the reason and a diff of each file. Nothing is changed.",
    )
    parser.add_argument("--yes", action="store_true", help="trust the keys of unknown servers")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Shows the plan."""
    from standfast.cluster import building
    from standfast.cluster.database import Vault
    from standfast.cluster.engine import PyinfraEngine
    from standfast.cluster.inventory import load_site

    from .meeting import meet

    site = load_site(arguments.file)
    meet(site, yes=arguments.yes)
    with progress.shown() as tell:
        plan = building.plan(site, PyinfraEngine, Vault(site), tell)
    if arguments.json:
        shown = [(each.server, each.title, each.why, each.diff) for each in plan.changes]
        keys = ("server", "title", "why", "diff")
        print(json.dumps([dict(zip(keys, each, strict=True)) for each in shown], indent=2))
    elif not plan.changes:
        print(NO_CHANGES)
    else:
        show(plan.changes)
        say_risks(site, plan)
        sum_up(plan, "standfast cluster apply")
    return who_is_away(plan.away)


def who_is_away(away: Mapping[str, str] | None) -> int:
    """Says which servers were left out, why, and since when; the exit status that this makes."""
    for why in (away or {}).values():
        print_whole(f"Left out: {why}", out=sys.stderr)
    return 1 if away else 0


def say_risks(site: Site, plan: Plan) -> bool:
    """Says what such a plan may cost, where it is much; whether it is."""
    from standfast.cluster.own_keys import at_hand
    from standfast.cluster.risks import risks

    found = risks(site, plan, at_hand(site.identity_file))
    for words in found:
        print_whole(words)
    return bool(found)


def sum_up(plan: Plan, command: str = "") -> None:
    """Says how many changes there are, what cannot be planned yet, and how to do it."""
    words = f"\n{count(plan.changes)}."
    if plan.later:
        names = " and ".join(filter(None, [", ".join(plan.later[:-1]), plan.later[-1]]))
        words += f" Then replication, which is shown and asked for once {names} can be asked."
    print_whole(f"{words} Do it: {command}" if command else words)


def show(changes: Sequence[Change]) -> None:
    """The changes of each server, with reasons and diffs."""
    server = None
    for change in changes:
        if change.server != server:
            server = change.server
            print(f"\n{server or 'the databases'}")
        print_whole(change.title, "  ")
        print_whole(change.why, "      ")
        if change.diff:
            print_whole(change.diff, "      ")
    sys.stdout.flush()


def count(changes: Sequence[Change]) -> str:
    """How many changes there are, on how many servers; those of all databases are on none."""
    servers = len({change.server for change in changes if change.server})
    words = f"{len(changes)} change{'s' * (len(changes) != 1)}"
    return f"{words} on {servers} server{'s' * (servers != 1)}" if servers else words
