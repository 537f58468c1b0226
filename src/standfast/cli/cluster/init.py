"""``standfast cluster init``: a site.toml to begin with."""

from __future__ import annotations

import argparse
import getpass
import os
import subprocess
from pathlib import Path

from standfast.cli.tables import print_whole
from standfast.errors import StandfastError, UsageError

_KINDS = ("ed25519", "ecdsa", "rsa")
_OWN_KEY = "site.key"
#: What is done with the file, once its servers are there.
_NEXT = ("plan", "apply", "verify", "status")


def add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Adds the action to the command line."""
    return actions.add_parser(
        "init",
        help="write a commented site.toml, which fits the lab",
        description="Writes a commented site.toml for three servers. It fits the lab as it stands;"
        " for your own servers put in their addresses and yours.",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the file, unless there is one."""
    from standfast.cluster.inventory import load_site
    from standfast.cluster.inventory.template import template

    file = Path(arguments.file)
    if file.exists():
        raise UsageError(f"{file} is there already, and is not overwritten: -f names another one")
    found = _public_key(Path("~/.ssh").expanduser())
    identity = None
    if found is None:
        found, identity = _make_key(file.parent), _OWN_KEY
        print_whole(f"You have no SSH key here: a pair was made, {file.parent / _OWN_KEY} and .pub")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(template(_admin(), found, identity))
    except OSError as error:
        raise StandfastError(f"{file} cannot be written: {error.strerror}") from None
    site = load_site(file)
    print_whole(f"Written: {file}, a site of {len(site.servers)} servers for the lab.")
    if _in_git(file.parent):
        kept = f"{site.secrets.name}/" + (f" and {_OWN_KEY}" if identity else "")
        print_whole(f"Do not commit what stays beside it: {kept}")
    option = "" if arguments.file == "site.toml" else f" -f {file}"
    print("Try it out:")
    root = "" if os.geteuid() == 0 else "sudo "
    for command in (f"{root}standfast lab up", *map("standfast cluster {}".format, _NEXT)):
        print(f"  {command}{option}")
    return 0


def _public_key(folder: Path) -> str | None:
    """The first of one's own public keys that ``ssh`` would use."""
    for kind in _KINDS:
        private, public = folder / f"id_{kind}", folder / f"id_{kind}.pub"
        try:
            if private.exists() and (key := public.read_text("utf-8").strip()):
                return key
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _make_key(folder: Path) -> str:
    path = folder / _OWN_KEY
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "standfast", "-f", str(path)]
    if path.exists():
        raise UsageError(f"{path} is there already: name it in site.toml as identity, or move it")
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise StandfastError(
            "ssh-keygen is not installed here: apt-get install openssh-client"
        ) from None
    if done.returncode:
        raise StandfastError(f"{path} was not made: {(done.stderr or done.stdout).strip()}")
    return path.with_name(f"{_OWN_KEY}.pub").read_text("utf-8").strip()


def _admin() -> str:
    """Who runs this, where that is a name for a person on a server."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return "admin"
    person = os.getuid() >= 1000 and name.isascii() and name.replace("-", "").isalnum()
    return name if person and name == name.lower() and name[0].isalpha() else "admin"


def _in_git(folder: Path) -> bool:
    return any((place / ".git").exists() for place in (folder.resolve(), *folder.resolve().parents))
