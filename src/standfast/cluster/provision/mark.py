"""Whose server this is: a mark on it, so that no other site is set up over it.

The mark has the site's name, for people, and a fingerprint of the authority that all its
certificates hang on: a site may get another name, and one of the same name may be another site.
"""

from __future__ import annotations

from collections.abc import Mapping

from standfast.diagnose.words import harmless

from ..inventory import Site
from ..steps import Directory, File, Step

FOLDER = "/etc/standfast"
PATH = f"{FOLDER}/site"
#: Prints the mark, of which there is one line; nothing where there is none.
READ = f"head -c 200 {PATH} 2>/dev/null | head -n 1"


def steps(site: Site, fingerprint: str) -> list[Step]:
    """The mark; only its folder where the fingerprint is not known."""
    found: list[Step] = [Directory(FOLDER, "what root alone may see", mode=0o700)]
    if fingerprint:
        found.append(
            File(PATH, text(site, fingerprint), "no other site is set up over it", mode=0o600)
        )
    return found


def text(site: Site, fingerprint: str) -> str:
    """The mark of a site, as a line."""
    return f"{site.name} {fingerprint}\n"


def foreign(site: Site, fingerprint: str, marks: Mapping[str, str]) -> str | None:
    """Why the servers with these marks, by name, are not this site's, and what to do; None where
    all are. One without a mark may become anybody's."""
    words = {name: mark.split() for name, mark in marks.items()}
    others = {name: mark[0] for name, mark in words.items() if mark and mark[-1] != fingerprint}
    if not others:
        return None
    lines = [
        f"{name} belongs to the site {harmless(other)}: {PATH} there says so."
        if other != site.name
        else f"{name} was set up as {site.name} with other secrets than those in {site.secrets}."
        for name, other in others.items()
    ]
    if set(others.values()) != {site.name}:
        advice = (
            "Is this the right file, with the right addresses? A server that is to move to this"
            " site is best installed anew by its provider. To take it as it is, with all its data,"
            f" remove {PATH} there first."
        )
    else:
        advice = (
            "Copy that folder from the machine on which the site was set up. Where it is lost,"
            f" remove {PATH} on every server: apply then gives them new passwords and certificates,"
            " and they replicate again when it is done."
        )
    return "\n".join([*lines, advice, "Nothing was done."])
