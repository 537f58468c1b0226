"""``standfast cluster rejoin``: a server is saved, emptied and copied anew."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from standfast.cli.tables import print_words
from standfast.errors import StandfastError, UsageError

from .leasing import add_option, by, leased


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    parser = actions.add_parser(
        "rejoin",
        help="save all that a server holds, empty it, and let it join anew",
        description="For a server whose history cannot go on (`heal` says so): all that it holds is"
        " saved to a file here, then it is emptied and gets a copy of the others' data. Writes that"
        " it alone had are in that file, and on no server any more.",
    )
    parser.add_argument("server", metavar="SERVER", help="its name in the file")
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="default: SERVER-DATE.sql.gz beside site.toml; it must not be there yet",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for the server's name")
    add_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Says what will be done, asks for the name, does it and proves it."""
    from standfast.cluster.belonging import refuse_others
    from standfast.cluster.database import Vault, observe
    from standfast.cluster.database.rejoin import own_writes, refusal, rejoin
    from standfast.cluster.inventory import load_site
    from standfast.cluster.status.observation import admins_way
    from standfast.cluster.status.scratch import prove

    from .asking import typed
    from .verify import say, show

    site = load_site(arguments.file)
    name = arguments.server
    names = [server.name for server in site.servers]
    if name not in names:
        raise UsageError(f"there is no server '{name}'; there are {', '.join(names)}")
    remotes = admins_way(site)
    refuse_others(site, Vault(site), remotes)
    observed = observe(site, remotes)
    if (why := refusal(site, observed, name)) is not None:
        raise StandfastError(f"{why}. Nothing was done.")
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    file = Path(arguments.save) if arguments.save else site.folder / f"{name}-{moment}.sql.gz"
    print_words(f"{name} takes no writes while this lasts. All that it holds goes to {file}.")
    print_words(f"Then {name} is emptied, and gets a copy of what the others have.")
    if alone := own_writes(observed, name):
        print_words(
            f"{alone} of its transactions are on no other server: they will be in that file alone."
        )
    if not arguments.yes and not typed(name, "Type the server's name to do it: "):
        print("Nothing was done.")
        return 1
    with leased(site, f"rejoin {name}", by(remotes), breaks=arguments.break_lease) as hold:
        remotes = hold.remotes(remotes)
        rejoin(site, remotes, Vault(site), name, file, say, hold.check)
        proof = prove(site, remotes, say)
    show(site, proof)
    return 1 if proof.wrong else 0
