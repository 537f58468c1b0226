"""As whom and on which port a server last let the tool in: after a change of ``ssh_port`` or of the
admins in the file, the server is still reached by the old way. Kept beside the site's secrets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from standfast.errors import StandfastError

from .inventory import Server, Site


class LastLogin(NamedTuple):
    """A user's name and a port of TCP."""

    user: str
    port: int


def read(site: Site, server: Server) -> LastLogin | None:
    """The last login, None where there was none, or what is kept of it is not whole."""
    try:
        user, port = _file(site, server).read_text("utf-8").split()
        found = LastLogin(user, int(port))
    except (OSError, ValueError):
        return None
    return found if 1 <= found.port <= 65535 else None


def write(site: Site, server: Server, login: LastLogin) -> None:
    """Keeps a login that worked. Raises StandfastError where that cannot be written."""
    if read(site, server) == login:
        return
    file = _file(site, server)
    try:
        for folder in (site.secrets, file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        number, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(number, "w", encoding="utf-8") as new:
            new.write(f"{login.user} {login.port}\n")
        Path(name).replace(file)
    except OSError as error:
        raise StandfastError(f"{file} cannot be written: {error.strerror}") from None


def _file(site: Site, server: Server) -> Path:
    return site.secrets / "logins" / server.name
