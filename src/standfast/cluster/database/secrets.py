"""The site's secrets, on the admin's side: made on first use, kept in a folder only its owner
can read, and never shown."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from standfast.errors import StandfastError

from ..inventory import Server, Site
from . import authority


@dataclass(frozen=True)
class Certificate:
    """What one server shows and trusts, as PEM."""

    authority: str
    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Certificate(…)"


class Vault:
    """Passwords and certificates of a site. Raises StandfastError where the folder is open to
    others, or cannot be read or written."""

    def __init__(self, site: Site) -> None:
        self._site = site.name
        self._folder = site.secrets

    def __repr__(self) -> str:
        return f"Vault({self._site})"

    def password(self, server: Server) -> str:
        """What a server logs in to its peers with."""
        made = self._kept(f"replication-{server.name}", lambda: secrets.token_urlsafe(32))
        return made.strip()

    def fingerprint(self) -> str:
        """By which the site's authority is known: 32 digits in hexadecimal."""
        root = self._kept("authority.pem", lambda: authority.make_authority(self._site))
        return hashlib.sha256(authority.certificate_of(root).encode()).hexdigest()[:32]

    def certificate(self, server: Server) -> Certificate:
        """A server's certificate, anew where its address has changed, and its authority's."""
        root = self._kept("authority.pem", lambda: authority.make_authority(self._site))
        name, address = f"server-{server.name}.pem", str(server.address)

        def make() -> str:
            return authority.make_certificate(root, self._site, server.name, address)

        pem = self._kept(name, make)
        if not authority.is_for(pem, root, server.name, address):
            self._write(name, make(), over=True)
            pem = self._read(name)
        return Certificate(
            authority.certificate_of(root), authority.certificate_of(pem), authority.key_of(pem)
        )

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        """What is kept under this name; made where there is none. Of several that make it at
        once the first one's stays."""
        self._open()
        if not (self._folder / name).exists():
            self._write(name, make(), over=False)
        return self._read(name)

    def _open(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            mode = self._folder.stat().st_mode
        except OSError as error:
            raise StandfastError(f"{self._folder}: {error.strerror}") from None
        if mode & 0o077:
            raise StandfastError(
                f"{self._folder}: others may read the site's secrets: chmod 700 {self._folder}"
            )

    def _read(self, name: str) -> str:
        path = self._folder / name
        try:
            if path.stat().st_mode & 0o077:
                raise StandfastError(f"{path}: others may read this secret: chmod 600 {path}")
            return path.read_text("utf-8")
        except OSError as error:
            raise StandfastError(f"{path}: {error.strerror}") from None

    def _write(self, name: str, text: str, *, over: bool) -> None:
        """Whole or not at all; ``over``: also where there is one."""
        path = self._folder / name
        try:
            handle, temporary = tempfile.mkstemp(dir=self._folder)  # of mode 600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                if over:
                    Path(temporary).replace(path)
                else:
                    path.hardlink_to(temporary)
            except FileExistsError:
                pass
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise StandfastError(f"{path}: {error.strerror}") from None
