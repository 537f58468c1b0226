"""``standfast cluster heal``: what would put replication right, and, when told to, that."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from standfast.cli.tables import print_words

from .leasing import add_option, by, leased

if TYPE_CHECKING:
    from standfast.cluster.database.observe import Remotes
    from standfast.cluster.inventory import Site


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "heal",
        help="close the circle around a dead server, take it back, restart what stopped",
        description="Looks at all servers, shows what would put replication right, asks, does it "
        "step by step, and proves it by rows. Ends with status 1 where not all could be done.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Heals what can be healed; 1 when something was left that is not right."""
    from standfast.cluster.inventory import load_site
    from standfast.cluster.status.observation import admins_way

    site = load_site(arguments.file)
    return heal(site, admins_way(site), asks=not arguments.yes, breaks=arguments.break_lease)


def heal(site: Site, remotes: Remotes, *, asks: bool, breaks: bool = False) -> int:
    """Shows, asks, does and proves; the exit status."""
    from standfast.cluster.belonging import refuse_others
    from standfast.cluster.database import Vault, observe
    from standfast.cluster.database.observe import Away
    from standfast.cluster.database.settle import Unsettled, settle, what_is_missing
    from standfast.cluster.remote import RemoteError
    from standfast.cluster.status.heard import last_heard
    from standfast.cluster.status.scratch import prove

    from .asking import agreed
    from .verify import say, show

    observed = observe(site, remotes)
    away = {name: one for name, one in observed.servers.items() if isinstance(one, Away)}
    # Nobody waits for them again in every step.
    remotes = {**remotes, **{name: RemoteError(one.why, "", False) for name, one in away.items()}}
    heard = last_heard(site, remotes, away)
    for name, one in away.items():
        print_words(f"Away: {one.why}{heard[name]}")
    if len(away) == len(site.servers):
        print("No server answers: there is nothing that could be healed from here.")
        return 1
    vault = Vault(site)
    refuse_others(site, vault, remotes)
    missing = what_is_missing(site, remotes, vault)
    if not missing:
        print("Nothing to heal.")
        return 0
    verb = "would be" if asks else "is"
    print(f"This is not as it shall be, and {verb} put right as far as it can be:")
    for words in missing:
        print_words(f"  {words}")
    if asks and not agreed():
        print("Nothing was done.")
        return 1
    left = False
    with leased(site, "heal", by(remotes), breaks=breaks) as hold:
        remotes = hold.remotes(remotes)
        try:
            settle(site, remotes, vault, say, check=hold.check)
        except Unsettled as unsettled:
            left = True
            print("This is left:")
            for words in str(unsettled).splitlines():
                print_words(f"  {words}")
        proof = prove(site, remotes, say)
    proof.wrong = [(name, words) for name, words in proof.wrong if name not in away]
    show(site, proof)
    return 1 if left or proof.wrong else 0
