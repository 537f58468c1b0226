"""What MariaDB on one server shall be like, as steps for the engine."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import Directory, File, Step, Unit
from . import options
from .secrets import Vault

_UNIT = "mariadb"
#: Refuses a file with an option that this MariaDB does not know: it would not start with it.
_CHECK = "/usr/sbin/mariadbd --defaults-file=%s --verbose --help >/dev/null"


def steps(site: Site, server: Server, memory_bytes: int, vault: Vault) -> list[Step]:
    """The options file, what the server shows and trusts, and that it runs. The package is there
    already. ``memory_bytes`` is what the server has in all."""
    shown = vault.certificate(server)
    return [
        Directory(options.FOLDER, "its certificates for replication", "mysql", "mysql", 0o700),
        _secret(options.AUTHORITY, shown.authority, "whom it trusts: the site's own authority"),
        _secret(options.CERTIFICATE, shown.certificate, "what it shows to its peers"),
        _secret(options.KEY, shown.key, "proves that the certificate is its own"),
        File(
            options.PATH, options.options(site, server, memory_bytes),
            "a primary among primaries: its own number, its own keys, a log of every write",
            check=_CHECK, tells=_UNIT,
        ),
        Unit(_UNIT, "the database"),
    ]  # fmt: skip


def _secret(path: str, text: str, why: str) -> File:
    return File(path, text, why, "mysql", "mysql", 0o600, secret=True, tells=_UNIT)
