"""What of a plan is to be said first, and agreed to by more than one letter."""

from __future__ import annotations

from collections.abc import Sequence, Set

from .building import Plan
from .engine import Change
from .inventory import Site
from .own_keys import blob
from .provision.gate import TITLE
from .provision.people import keys_file
from .remote import logins

#: A plan that takes away more than this many things is looked at twice.
MUCH = 10
_REMOVES = (" removed", " goes", "remove ", "no longer replicates")


def risks(site: Site, plan: Plan, own_keys: Set[str]) -> list[str]:
    """Sentences on what such a plan may cost. Of the first set-up of new servers only that is said
    which nobody can prove. ``own_keys``: those whose private half is here, without their kind."""
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
    return [*found, *unproven(site, plan.changes, own_keys)]


def unproven(site: Site, changes: Sequence[Change], own_keys: Set[str]) -> list[str]:
    """Whose keys are changed though nobody here can try whether they let in: those of the other
    admins than the one as whom the tool logs in, which it does with the new keys."""
    proven = {logins(site, server)[0].user for server in site.servers}
    parts = {part for change in changes for part in change.parts}
    names = [
        admin.name
        for admin in site.admins
        if f"file {keys_file(admin.name)}" in parts
        and admin.name not in proven
        and not own_keys & {blob(key) for key in admin.keys}
    ]
    return [
        f"The keys of {name} change, and no private half of them is here: that {name} can log in"
        " with them is not proven. Let that be tried."
        for name in names
    ]
