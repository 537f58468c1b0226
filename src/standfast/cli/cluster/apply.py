"""``standfast cluster apply``: makes every server what the file says."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from standfast.diagnose.words import harmless
from standfast.errors import StandfastError

from . import progress
from .asking import agreed
from .plan import count, show

if TYPE_CHECKING:
    from standfast.cluster.engine import Change
    from standfast.cluster.inventory import Site


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "apply",
        help="set the servers up, or change what the file says otherwise",
        description="Shows what would be changed, asks, and does it: server by server, the master"
        " last, then the databases. It stops at the first failure; run again it finishes the job.",
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask, and trust the keys of unknown servers"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Asks, and does it."""
    from standfast.cluster.inventory import load_site

    from .meeting import meet

    site = load_site(arguments.file)
    meet(site, yes=arguments.yes)
    if not arguments.yes and not _agreed(site):
        return 0
    return _apply(site)


def _agreed(site: Site) -> bool:
    from standfast.cluster import building
    from standfast.cluster.database import Vault
    from standfast.cluster.engine import PyinfraEngine

    with progress.shown() as tell:
        changes = building.plan(site, PyinfraEngine, Vault(site), tell)
    if not changes:
        print("No changes: every server is as the file says.")
        return False
    show(changes)
    print(f"\n{count(changes)}.")
    if agreed():
        return True
    print("Nothing was done.")
    return False


def _apply(site: Site) -> int:
    from standfast.cluster import building
    from standfast.cluster.database import Vault
    from standfast.cluster.engine import PyinfraEngine

    done: list[Change] = []
    with progress.shown() as tell:

        def say(change: Change) -> None:
            where = f"{change.server}: " if change.server else ""
            print(f"{where}{harmless(change.title)}", flush=True)
            tell(f"{where}{change.title}")
            done.append(change)

        try:
            building.apply(site, PyinfraEngine, Vault(site), say, tell)
        except StandfastError as error:
            begun = f"It stopped at change {len(done)}" if done else "It stopped at once"
            raise StandfastError(
                f"{error}\n{begun}; what was done before stays. When that is put right,"
                " `standfast cluster apply` finishes the job."
            ) from None
    if not done:
        print("No changes: every server is as the file says.")
    else:
        print(f"\nDone: {count(done)}. Prove it: standfast cluster verify")
    return 0
