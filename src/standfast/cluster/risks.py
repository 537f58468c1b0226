"""What of a plan is to be said first, and agreed to by more than one letter."""

from __future__ import annotations

from .building import Plan
from .inventory import Site
from .provision.gate import TITLE

#: A plan that takes away more than this many things is looked at twice.
MUCH = 10
_REMOVES = (" removed", " goes", "remove ", "no longer replicates")


def risks(site: Site, plan: Plan) -> list[str]:
    """Sentences on what such a plan may cost; none for the first set-up of new servers."""
    found = []
    ways_in = {change.server for change in plan.changes if change.about == TITLE}
    old = {server.name for server in site.servers} - set(plan.later)
    if len(old) > 1 and old <= ways_in:
        found.append(f"The way in of all {len(old)} servers that are set up is changed.")
    accounts = [c for c in plan.changes if not c.server and "remove an account" in c.title]
    if accounts:
        many = f"{len(accounts)} accounts" if len(accounts) > 1 else "An account"
        found.append(f"{many} of the databases will be dropped.")
    removed = [c for c in plan.changes if any(words in c.title for words in _REMOVES)]
    if len(removed) > MUCH and old:
        found.append(f"{len(removed)} things are taken away.")
    return found
