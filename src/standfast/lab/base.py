"""The common base of all servers of all labs: a small Debian 12, made once and kept.

Mirror and keyring are those of this machine's own apt.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from standfast.errors import StandfastError

from .commands import environment, run
from .plan import CACHE

SUITE = "bookworm"
#: What a freshly rented server has: it boots, one can log in, and an installer can work.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3-minimal", "iproute2",
    "ca-certificates", "kmod", "procps",
)  # fmt: skip
_USUAL_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Mirror(NamedTuple):
    """A source of packages as this machine's apt knows it."""

    address: str
    suite: str
    keyring: str


def base(progress: Callable[[str], None]) -> Path:
    """The folder of the base; made where it is not there yet, which takes a minute or two.

    ``progress`` is told what is being done. Raises StandfastError.
    """
    mirrors = _mirrors()
    main = next((mirror for mirror in mirrors if mirror.suite == SUITE), None)
    if main is None:
        raise StandfastError(
            f"this machine's apt has no source for Debian 12 ({SUITE}), of which a lab is made;"
            " add one to /etc/apt/sources.list.d and run apt-get update"
        )
    digest = hashlib.sha256(" ".join([*PACKAGES, main.address]).encode()).hexdigest()[:12]
    folder = CACHE / f"{SUITE}-{digest}"
    if folder.is_dir():
        return folder
    making = CACHE / f"{folder.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    _debootstrap(main, making, progress)
    _finish(making, mirrors)
    making.rename(folder)
    return folder


def _mirrors() -> list[Mirror]:
    """Debian's own sources among those of this machine."""
    wanted = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(SIGNED_BY)"
    lines = run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    found = []
    for line in dict.fromkeys(lines):
        origin, address, suite, keyring, *_ = [*line.split("|"), "", "", "", ""]
        if origin == "Debian":
            keyring = keyring if Path(keyring).is_file() else _USUAL_KEYRING
            found.append(Mirror(address.rstrip("/"), suite, keyring))
    return found


def _debootstrap(mirror: Mirror, folder: Path, progress: Callable[[str], None]) -> None:
    words = (
        "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        f"--keyring={mirror.keyring}", SUITE, str(folder), mirror.address,
    )  # fmt: skip
    progress("The base of all servers is made, once: a small Debian 12")
    said: list[str] = []
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=environment(),
    ) as making:  # fmt: skip
        for line in making.stdout or ():
            said = [*said[-20:], line.rstrip()]
            progress(line.strip().removeprefix("I: "))
    if making.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise StandfastError("the base of the lab could not be made:\n" + "\n".join(said))


def _finish(folder: Path, mirrors: list[Mirror]) -> None:
    """What must not be the same on all servers goes; the sources are this machine's."""
    for key in (folder / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (folder / "etc/machine-id").write_text("")
    lines = [
        f"deb [signed-by={_USUAL_KEYRING}] {mirror.address} {mirror.suite} main\n"
        for mirror in mirrors
        if mirror.suite.startswith(SUITE)
    ]
    (folder / "etc/apt/sources.list").write_text("".join(lines))
    for package in (folder / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
