"""What a server of the site is made to be: each concern a pure function to steps."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import Step
from . import gate, mark, names, packages, people, servers, uploads, web
from .known import Known

__all__ = ["EVERY_SITE", "Known", "wanted"]

#: The Debian packages that every site installs somewhere.
EVERY_SITE = (*packages.EVERYWHERE, *uploads.ON_MASTER)


def wanted(site: Site, server: Server, known: Known) -> list[Step]:
    """All steps of a server, in an order that is safe wherever it stops.

    People come before the gate that lets only them in; what listens comes behind the gate.
    """
    return [
        *packages.steps(site, server),
        *mark.steps(site, known.fingerprint),
        *people.steps(site),
        *servers.steps(site, server, known),
        *gate.steps(site, server),
        *known.database_steps,
        *web.steps(site),
        *names.steps(),
        *uploads.steps(site, server),
    ]
