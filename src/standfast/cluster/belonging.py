"""The servers are asked whose they are, before one that is another site's is changed."""

from __future__ import annotations

from standfast.errors import StandfastError

from .database import Remotes, Vault
from .inventory import Server, Site
from .provision import mark
from .remote import RemoteError, on_all


def refuse_others(site: Site, vault: Vault, remotes: Remotes) -> None:
    """Raises StandfastError where a server that answers is another site's."""

    def ask(server: Server) -> str:
        remote = remotes[server.name]
        if isinstance(remote, RemoteError):
            raise remote
        return remote.run(mark.READ)

    told = on_all(site.servers, ask)
    marks = {name: one for name, one in told.items() if not isinstance(one, RemoteError)}
    if (why := mark.foreign(site, vault.fingerprint(), marks)) is not None:
        raise StandfastError(why)
