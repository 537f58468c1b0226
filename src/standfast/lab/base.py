"""The common base of all servers of all labs: a small Debian 12, made once and kept.

Mirror and keyring are those of this machine's own apt. It has the distribution's updates, as a
server that is rented today has, and the archives of the packages that the servers will be told to
install: three servers do not fetch them three times.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
Progress = Callable[[str], None]


class Mirror(NamedTuple):
    """A source of packages as this machine's apt knows it."""

    address: str
    suite: str
    keyring: str


def base(progress: Progress, at_hand: Sequence[str] = ()) -> Path:
    """The folder of the base; made where it is not there yet, which takes a minute or two.

    ``at_hand`` are packages whose archives it holds, though they are not installed. ``progress`` is
    told what is being done. Raises StandfastError.
    """
    mirrors = _mirrors()
    main = next((mirror for mirror in mirrors if mirror.suite == SUITE), None)
    if main is None:
        raise StandfastError(
            f"this machine's apt has no source for Debian 12 ({SUITE}), of which a lab is made;"
            " add one to /etc/apt/sources.list.d and run apt-get update"
        )
    words = " ".join([*PACKAGES, main.address, "with updates", *sorted(at_hand)])
    folder = CACHE / f"{SUITE}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(progress):
        if not folder.is_dir():
            making = CACHE / f"{folder.name}.making"
            shutil.rmtree(making, ignore_errors=True)
            _debootstrap(main, making, progress)
            _finish(making, mirrors, at_hand, progress)
            making.rename(folder)
    return folder


@contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    """Two labs that come up at once make one base."""
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Another lab makes the base of all servers just now")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def _debootstrap(mirror: Mirror, folder: Path, progress: Progress) -> None:
    progress("The base of all servers is made, once: a small Debian 12")
    words = (
        "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        f"--keyring={mirror.keyring}", SUITE, str(folder), mirror.address,
    )  # fmt: skip
    _make(words, folder, progress)


def _make(words: Sequence[str], folder: Path, progress: Progress) -> None:
    """Runs a tool that works on the base, line by line. Where it fails nothing is kept."""
    said: list[str] = []
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env=environment(),
    ) as making:  # fmt: skip
        for line in making.stdout or ():
            said = [*said[-20:], line.rstrip()]
            progress(line.strip().removeprefix("I: "))
    if making.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise StandfastError("the base of the lab could not be made:\n" + "\n".join(said))


def _finish(
    folder: Path, mirrors: list[Mirror], at_hand: Sequence[str], progress: Progress
) -> None:
    """The sources are this machine's; what must not be the same on all servers goes."""
    lines = [
        f"deb [signed-by={_USUAL_KEYRING}] {mirror.address} {mirror.suite} main\n"
        for mirror in mirrors
        if mirror.suite.startswith(SUITE)
    ]
    (folder / "etc/apt/sources.list").write_text("".join(lines))
    inside = (
        "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", "--pipe",
        "--resolv-conf=copy-host", "--timezone=off", f"--directory={folder}",
        "--setenv=DEBIAN_FRONTEND=noninteractive",
    )  # fmt: skip
    for words in (
        ("apt-get", "-q", "update"),
        ("apt-get", "-qy", "upgrade"),
        ("apt-get", "clean"),
        ("apt-get", "-qy", "--download-only", "install", *at_hand),
    ):
        _make((*inside, *words), folder, progress)
    for key in (folder / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (folder / "etc/machine-id").write_text("")
