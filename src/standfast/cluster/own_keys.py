"""Which keys the tool can log in with: the public halves whose private halves are here."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: What `ssh` looks for by itself (ssh_config(5), IdentityFile).
USUAL = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")


def at_hand(identity: Path | None) -> frozenset[str]:
    """The keys, each as :func:`blob` has it, that `ssh` would show with this private key's file, or
    by itself where there is none: of its agent and of the usual files."""
    if identity is None:
        folder = Path("~/.ssh").expanduser()
        files = [folder / name for name in USUAL if (folder / name).exists()]
        lines = (output("ssh-add", "-L") or "").splitlines()
    else:
        files, lines = [identity], []
    return frozenset(filter(None, map(blob, [*lines, *map(_public, files)])))


def blob(line: str) -> str:
    """The key itself of a line as in a file ``.pub``; nothing where there is none."""
    return (line.split() + ["", ""])[1]


def keygen(*words: str, given: str = "") -> str | None:
    """What ``ssh-keygen`` prints; None where it fails."""
    return output("ssh-keygen", *words, given=given)


def output(*words: str, given: str = "") -> str | None:
    """What a command prints; None where it fails, or is not there."""
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _public(private: Path) -> str:
    """Of the private key; of the file beside it where that has a passphrase."""
    made = keygen("-y", "-P", "", "-f", str(private))
    if made is not None:
        return made
    try:
        return Path(f"{private}.pub").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
