"""The leases of the servers are held while a command changes them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from standfast.cli.tables import print_words

from . import progress

if TYPE_CHECKING:
    from standfast.cluster.database.observe import Remotes
    from standfast.cluster.inventory import Server, Site
    from standfast.cluster.lease import Hold, Lease
    from standfast.cluster.remote import Remote


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that breaks the leases of others."""
    parser.add_argument(
        "--break-lease", action="store_true",
        help="take the servers from another run that holds them; it stops before its next change",
    )  # fmt: skip


@contextmanager
def leased(
    site: Site, command: str, reach: Callable[[Server], Remote], *, breaks: bool
) -> Iterator[Hold]:
    """Holds the leases of all servers that answer. Raises StandfastError where another run holds
    one, unless ``breaks``: then says whose it breaks."""
    from standfast.cluster.lease import held

    with ExitStack() as stack:
        with progress.shown() as tell:
            tell("the lease of every server is taken")
            hold = stack.enter_context(held(site, command, reach, _say_whose if breaks else None))
        yield hold


def by(remotes: Remotes) -> Callable[[Server], Remote]:
    """The ways to the servers as they are known already."""
    from standfast.cluster.remote import RemoteError

    def reach(server: Server) -> Remote:
        remote = remotes[server.name]
        if isinstance(remote, RemoteError):
            raise remote
        return remote

    return reach


def _say_whose(holders: Mapping[str, Lease]) -> None:
    from standfast.cluster.lease.holding import by_run

    for names, lease in by_run(holders):
        print_words(
            f"The lease of {names} is broken: {lease.owner} has held it for {lease.age_s} s,"
            f" for `standfast cluster {lease.command}`, which stops before its next change."
        )
