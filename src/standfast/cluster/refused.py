"""Why a server may not have let one in: which key was tried, and how another one is named.

Read from the private key's own file; the server says nothing but "Permission denied".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .own_keys import USUAL, blob, keygen

_ANOTHER = "to use another private key, name it as `identity` in the site's file"


def why(user: str, identity: Path | None, allowed: Sequence[str]) -> str:
    """Words that follow "it does not let USER in". ``allowed`` are the public keys of the admins,
    as the site's file has them."""
    if identity is None:
        return f"with {_by_itself()}; {_ANOTHER}"
    try:
        if identity.stat().st_mode & 0o077:
            return f"with the key {identity}: others may read it, so ssh does not use it: chmod 600"
    except OSError as error:
        return f"with the key {identity}, which cannot be read: {error.strerror}"
    public = keygen("-y", "-P", "", "-f", str(identity))
    if public is None:
        return (
            f"with the key {identity}, which has a passphrase that nobody is asked for here:"
            f" ssh-add {identity}; {_ANOTHER}"
        )
    shown = (keygen("-l", "-f", "-", given=public) or "").split()
    tried = f"with the key {identity}" + (f" ({shown[1]})" if len(shown) > 1 else "")
    if blob(public) not in map(blob, allowed):
        return (
            f"{tried}, which is none of the admins' `keys` in the site's file; {_ANOTHER}, or put"
            f" the public half of this one there (ssh-keygen -y -f {identity})"
        )
    if user == "root":
        return f"{tried}: give its public half to the server's provider; {_ANOTHER}"
    return (
        f"{tried}: the server has the `keys` that were applied last, and this is none of them;"
        f" {_ANOTHER}"
    )


def _by_itself() -> str:
    folder = Path("~/.ssh").expanduser()
    found = [f"~/.ssh/{name}" for name in USUAL if (folder / name).exists()]
    files = ", ".join(found) if found else "there is none in ~/.ssh"
    return f"the keys that ssh takes by itself (of its agent: ssh-add -l; {files})"
