"""Commands on a server, over OpenSSH, as an admin would give them."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import stat
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

from standfast.errors import StandfastError

from . import last_login, refused
from .inventory import Server, Site

_CONNECT_S = 8
_KEPT_S = 60
Answer = TypeVar("Answer")


class RemoteError(StandfastError):
    """A server was not reached, or a command failed there; ``said`` is what it complained of."""

    def __init__(self, words: str, said: str = "", reached: bool = True) -> None:
        super().__init__(words)
        self.said = said
        self.reached = reached


class OtherHostKey(RemoteError):
    """A server shows a host key that is not the trusted one."""

    def __init__(self, where: str, said: str, known_hosts: Path) -> None:
        super().__init__(
            f"{where} shows another host key than the one that was trusted. Either the server was "
            "set up anew, or somebody stands between: ask its provider. If it is right, take the "
            f"lines of its address out of {known_hosts}; the next plan shows the new key's "
            "fingerprint and asks.",
            said,
            False,
        )


class NotLetIn(RemoteError):
    """A server answers, and takes none of the keys that it was shown."""

    def __init__(self, where: str, login: Login, said: str) -> None:
        why = refused.why(login.user, login.identity, login.allowed)
        super().__init__(f"{where} does not let {login.user} in {why}", said, False)


def complaint(stderr: bytes) -> str:
    """What a command complained of as one line: ``ssh`` ends its own with ``\\r\\n``, and draws
    frames around what matters."""
    lines = stderr.decode(errors="replace").replace("\r", "\n").split("\n")
    return "; ".join(line.strip() for line in lines if line.strip(" @"))


@dataclass(frozen=True)
class Login:
    """How one gets in. ``known_hosts`` holds the keys of hosts that are trusted, no others are.
    ``allowed`` are the public keys that shall be let in, as the site's file has them."""

    name: str
    address: str
    port: int
    user: str
    known_hosts: Path
    identity: Path | None = None
    allowed: tuple[str, ...] = ()

    def words(self, *, kept: bool = True) -> list[str]:
        """The command line of ``ssh`` up to the command. ``kept`` lets several commands share one
        connection; without it the login is proven anew."""
        sockets = _sockets() if kept else None
        # Sites of the same addresses, as labs are, share nothing.
        site = zlib.crc32(str(self.known_hosts).encode())
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "none",
            "UpdateHostKeys": "no",
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "LogLevel": "ERROR",
            "ControlPath": f"{sockets}/{site:08x}-%C" if sockets else "none",
            "ControlMaster": "auto" if sockets else "no",
            "ControlPersist": str(_KEPT_S) if sockets else "no",
        }
        words = ["ssh", "-T", "-p", str(self.port), "-l", self.user]
        if self.identity is not None:
            words += ["-i", str(self.identity), "-o", "IdentitiesOnly=yes"]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return [*words, self.address]


def _sockets() -> Path | None:
    """Where kept connections are found again: a folder of our own with a short name, for a socket
    may have no longer one than 107 characters. None where somebody else has taken the name."""
    folder = Path(tempfile.gettempdir(), f"standfast-{os.getuid()}")
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o77:
            return folder
    return None


def logins(site: Site, server: Server) -> tuple[Login, ...]:
    """The ways in: first the admin's, for a server that is as the file says; then the one that
    worked last, before the file was changed; then that of its provider. Who runs this goes by their
    own name where they are among the admins, else by the first one's."""
    names = [each.name for each in site.admins]
    own = user()
    admin = Login(
        server.name, str(server.address), server.ssh_port, own if own in names else names[0],
        site.secrets / "known_hosts", site.identity_file,
        tuple(key for each in site.admins for key in each.keys),
    )  # fmt: skip
    before = last_login.read(site, server)
    earlier = [replace(admin, port=before.port, user=before.user)] if before else []
    first = replace(admin, port=server.first_port, user=server.first_user)
    return tuple(dict.fromkeys([admin, *earlier, first]))


def user() -> str:
    """Who runs this; nobody where the system has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


class Remote:
    """A server on which commands are run as root."""

    def __init__(self, login: Login) -> None:
        self.login = login

    def command(self, script: str, *, kept: bool = True) -> list[str]:
        """The words that run a script of the shell there. No secret belongs in it: others see it
        in the list of processes."""
        inner = f"sh -c {shlex.quote(script)}"
        return [
            *self.login.words(kept=kept),
            inner if self.login.user == "root" else f"sudo -n {inner}",
        ]

    def run(
        self, script: str, given: str | None = None, *, timeout_s: float = 60, kept: bool = True
    ) -> str:
        """Runs a script, with ``given`` at its standard input, and returns what it printed.

        Raises RemoteError where the server is not reached or the script fails.
        """
        where = f"{self.login.name} ({self.login.address}, port {self.login.port})"
        try:
            done = subprocess.run(
                self.command(script, kept=kept), input=(given or "").encode(),
                capture_output=True, timeout=timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RemoteError(f"{where} did not answer within {timeout_s:g} s", "", False) from None
        said = complaint(done.stderr)
        if done.returncode == 255 and "HOST IDENTIFICATION HAS CHANGED" in said:
            raise OtherHostKey(where, said, self.login.known_hosts)
        if done.returncode == 255 and "Permission denied (" in said:
            raise NotLetIn(where, self.login, said)
        if done.returncode == 255:  # ssh itself
            raise RemoteError(f"{where} was not reached: {said or 'no reason given'}", said, False)
        if done.returncode:
            raise RemoteError(
                f"{where}: {said or f'a command ended with status {done.returncode}'}", said
            )
        return done.stdout.decode(errors="replace")

    def start(
        self, script: str, given: IO[bytes] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Starts a script whose input and output are streams, for copies from server to server."""
        return subprocess.Popen(
            self.command(script), stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


def reach(site: Site, server: Server, *, remember: bool = True) -> Remote:
    """The server, by the first of the ways in that works. ``remember``: it is known from now on
    that this one did. Raises RemoteError."""
    failed: list[RemoteError] = []
    for login in logins(site, server):
        remote = Remote(login)
        try:
            # Anew: a kept connection lives on where no other would be let in any more.
            remote.run("true", timeout_s=3 * _CONNECT_S, kept=False)
        except OtherHostKey:
            raise
        except RemoteError as error:
            failed.append(error)
        else:
            if remember:
                last_login.write(site, server, last_login.LastLogin(login.user, login.port))
            return remote
    # A door that answers tells more than one that is shut.
    raise next((each for each in failed if isinstance(each, NotLetIn)), failed[0])


def on_all(
    servers: Iterable[Server], do: Callable[[Server], Answer]
) -> Mapping[str, Answer | RemoteError]:
    """Does something on all servers at once; by name what it gave, or why it did not."""

    def attempt(server: Server) -> Answer | RemoteError:
        try:
            return do(server)
        except RemoteError as error:
            return error

    wanted = list(servers)
    with ThreadPoolExecutor(max_workers=max(len(wanted), 1)) as pool:
        return dict(zip((s.name for s in wanted), pool.map(attempt, wanted), strict=True))
