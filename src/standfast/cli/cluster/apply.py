"""``standfast cluster apply``: makes every server what the file says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from standfast.cli.tables import print_whole
from standfast.errors import StandfastError

from . import progress
from .asking import agreed, typed
from .leasing import add_option, leased
from .plan import NO_CHANGES, count, say_risks, show, sum_up, who_is_away

if TYPE_CHECKING:
    from standfast.cluster.building import Plan
    from standfast.cluster.engine import Change
    from standfast.cluster.inventory import Site


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "apply",
        help="set the servers up, or change what the file says otherwise",
        description="Shows what would be changed, asks, and does that: server by server, the master"
        " last, then the databases. What turns out to be needed beside it is shown and asked for."
        " It stops at the first failure; run again it finishes the job. A server that does not"
        " answer holds up no other; the exit status is then 1.",
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask, and trust the keys of unknown servers"
    )
    add_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Asks, and does it."""
    from standfast.cluster.inventory import load_site

    from .meeting import meet

    site = load_site(arguments.file)
    meet(site, yes=arguments.yes)
    breaks = arguments.break_lease
    if arguments.yes:
        return _apply(site, None, breaks=breaks)
    plan = _plan(site)
    if not plan.changes:
        print(NO_CHANGES)
        return who_is_away(plan.away)
    if not _agreed(site, plan):
        print("Nothing was done.")
        return 0
    return _apply(site, plan, breaks=breaks)


def _plan(site: Site) -> Plan:
    from standfast.cluster import building
    from standfast.cluster.database import Vault
    from standfast.cluster.engine import PyinfraEngine

    with progress.shown() as tell:
        return building.plan(site, PyinfraEngine, Vault(site), tell)


def _agreed(site: Site, plan: Plan) -> bool:
    show(plan.changes)
    sum_up(plan)
    who_is_away(plan.away)
    if say_risks(site, plan):
        return typed(site.name, f"Type the site's name ({site.name}) to do it: ")
    return agreed()


def _apply(site: Site, plan: Plan | None, *, breaks: bool) -> int:
    from standfast.cluster import building
    from standfast.cluster.database import Vault
    from standfast.cluster.engine import PyinfraEngine
    from standfast.cluster.own_keys import at_hand
    from standfast.cluster.remote import reach
    from standfast.cluster.risks import unproven

    done: list[Change] = []
    own_keys = at_hand(site.identity_file)
    way = partial(reach, site, remember=False)
    with leased(site, "apply", way, breaks=breaks) as hold, progress.shown() as tell:

        def say(change: Change) -> None:
            where = f"{change.server}: " if change.server else ""
            print_whole(f"{where}{change.title}")
            sys.stdout.flush()
            tell(f"{where}{change.title}")
            done.append(change)

        def more(changes: Sequence[Change]) -> bool:
            tell.pause()
            print("\nThis was not in the plan:")
            show(changes)
            for words in unproven(site, changes, own_keys):
                print_whole(words)
            return agreed()

        try:
            found = building.apply(site, PyinfraEngine, Vault(site), say, tell, plan, more, hold)
        except (StandfastError, KeyboardInterrupt) as error:
            begun = f"It stopped at change {len(done)}" if done else "It stopped at once"
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            raise StandfastError(
                f"{why}\n{begun}; what was done before stays. When that is put right,"
                " `standfast cluster apply` finishes the job."
            ) from None
    print(f"\nDone: {count(done)}. Prove it: standfast cluster verify" if done else NO_CHANGES)
    for words in unproven(site, done, own_keys):
        print_whole(words)
    return who_is_away(found.away)
