"""Whose keys unknown servers show, and whether they are to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standfast.cli.tables import print_whole
from standfast.errors import StandfastError, UsageError

from .asking import agreed

if TYPE_CHECKING:
    from standfast.cluster.inventory import Site


def meet(site: Site, *, yes: bool) -> None:
    """Asks about every server that is not known yet. Raises StandfastError where one is refused,
    UsageError where nobody is there to ask."""
    from standfast.cluster.contact import follow, strangers, trust

    follow(site, site.servers)
    met = strangers(site, site.servers)
    if not met:
        return
    print("These servers are not known yet. Compare with what their provider shows:")
    for each in met:
        print_whole(f"{each.server.name} ({each.server.address})", "  ")
        for fingerprint in each.fingerprints:
            print_whole(fingerprint, "    ")
    try:
        if not yes and not agreed("Are they the right ones?"):
            raise StandfastError("nothing was done: the keys were not trusted")
    except UsageError:
        raise UsageError(
            "these servers are not known yet, and there is nobody to ask: --yes trusts them"
        ) from None
    trust(site, met)
