"""Running the system's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from standfast.errors import StandfastError

#: The tools, and the Debian packages that bring them.
_TOOLS: Mapping[str, str] = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_PLACES = "/usr/local/sbin:/usr/sbin:/sbin"


def run(*words: str, given: str | None = None) -> str:
    """Runs a tool and returns what it printed. Raises StandfastError with its complaint."""
    done = subprocess.run(
        words, input=given, stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise StandfastError(f"{' '.join(words[:6])}: {complaint}")
    return done.stdout


def succeeds(*words: str) -> bool:
    """Whether a tool ends well; what it says does not matter."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, env=environment())
    return done.returncode == 0


def environment() -> dict[str, str]:
    """This process's variables, and the places where root's tools are."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_PLACES}", "LC_ALL": "C.UTF-8"}


def missing() -> str | None:
    """What this machine lacks to be a lab, with the command to get it; None where nothing is."""
    if os.name != "posix" or os.uname().sysname != "Linux":
        return "A lab needs Linux: it boots whole Debian servers in its namespaces."
    if os.geteuid() != 0:
        return "A lab needs root, for namespaces, mounts and bridges: run it with sudo."
    path = environment()["PATH"]
    packages = {_TOOLS[tool] for tool in _TOOLS if shutil.which(tool, path=path) is None}
    if packages:
        names = " ".join(sorted(packages))
        return f"A lab needs what is not installed here: apt-get install {names}"
    return None
