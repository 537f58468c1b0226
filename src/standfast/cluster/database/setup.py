"""What MariaDB on one server shall be like, as steps for the engine."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import Command, Directory, File, Step, Unit
from . import options, sql
from .observe import JOINING_DATABASE
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
            options.NUMBER, options.number_sql(server),
            "under another number its writes would be taken for another server's", tells=_UNIT,
        ),
        File(
            options.PATH, options.options(site, server, memory_bytes),
            "a primary among primaries: its own number, its own keys, a log of every write",
            check=_CHECK, tells=_UNIT,
        ),
        Unit(_UNIT, "the database"),
        *(
            Command(words, met, f"systemctl restart {_UNIT}", "a file alone protects no write")
            for words, met in in_force(site, server).items()
        ),
    ]  # fmt: skip


def in_force(site: Site, server: Server) -> dict[str, str]:
    """What has to be so, in words, and the command that succeeds where it is; else it shows what is
    otherwise. A server to which nobody may write (it is being filled, or its log went back) is left
    as it is; whether MariaDB runs at all is its unit's affair."""
    wanted = options.live(site, server)
    names = ", ".join(f"'{name}'" for name in wanted)
    query = (
        "SELECT CONCAT(LOWER(variable_name), ' = ', global_value) "  # noqa: S608 - our own names
        f"FROM information_schema.system_variables WHERE variable_name IN ({names}) AND NOT EXISTS "
        f"(SELECT 1 FROM information_schema.schemata WHERE schema_name = '{JOINING_DATABASE}') "
        "AND NOT EXISTS (SELECT 1 FROM standfast.heartbeat WHERE server IN (0, @@global.server_id) "
        "AND went_back IS NOT NULL)"
    )
    lines = "\n".join(sorted(f"{name} = {value}" for name, value in wanted.items()))
    met = (
        "export LC_ALL=C\n"
        f'has=$({sql.CLIENT} -BN -e "{query}") || exit 0\n'
        'test -n "$has" || exit 0\n'
        f"echo \"$has\" | sort | diff -U0 - --label 'in force' --label {options.PATH} /dev/fd/3"
        f" 3<<end\n{lines}\nend"
    )
    return {"MariaDB runs with the options of its file, and no other overrules them": met}


def _secret(path: str, text: str, why: str) -> File:
    return File(path, text, why, "mysql", "mysql", 0o600, secret=True, tells=_UNIT)
