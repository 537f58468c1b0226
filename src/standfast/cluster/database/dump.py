"""A dump of one server: all its databases but MariaDB's and the tool's own, and its accounts."""

from __future__ import annotations

from shlex import quote

from ..remote import Remote
from . import sql
from .observe import JOINING_DATABASE, OWN_DATABASE

#: What belongs to a server itself.
NOT_COPIED = frozenset({
    "mysql", "sys", "information_schema", "performance_schema", OWN_DATABASE, JOINING_DATABASE,
})  # fmt: skip


def databases(source: Remote) -> list[str]:
    """The databases of a dump."""
    (rows,) = sql.ask(source, "SHOW DATABASES")
    return [name for row in rows if (name := row["Database"] or "") not in NOT_COPIED]


def command(names: list[str]) -> str:
    """One consistent picture without holding anybody up. ``--master-data=2`` and ``--gtid`` write
    the position as a comment; the accounts come along as statements that leave be what is there."""
    words = [
        "exec mariadb-dump --skip-ssl --single-transaction --master-data=2 --gtid --quick",
        "--hex-blob --routines --events --triggers --default-character-set=utf8mb4",
        "--max-allowed-packet=1G --system=users --insert-ignore",
    ]
    if names:
        words += ["--databases", *map(quote, names)]
    return " ".join(words)
