"""Who may log in to a server's database: its peers, for replication alone, and nobody unasked.

Accounts for replication belong to one server: they are written past its log and do not travel.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..inventory import Server, Site
from . import authority, sql
from .observe import Account, Seen
from .secrets import Vault

_PREFIX = "replica_"
#: What MariaDB calls the right REPLICATION SLAVE in its table of accounts.
_REPLICATION_SLAVE = str(1 << 19)
#: What an account may have that can do anything, and come from any address. It may be in use, so
#: that a person sees to it.
_ANYWHERE = (
    "SELECT COUNT(*) FROM mysql.user WHERE is_role = 'N' AND super_priv = 'Y'"
    " AND (host = '' OR LOCATE('%', host))"
)


class Change(NamedTuple):
    """Something to put right on one server, in words, and the SQL that does so."""

    words: str
    statements: tuple[str, ...]


def user(server: Server) -> str:
    """The name a server logs in to its peers with."""
    return f"{_PREFIX}{server.name}"


def comes_from(peer: Server) -> str:
    """The address from which a peer's connections come, to which its account is limited."""
    return str(peer.address)


def wanted(site: Site, server: Server, vault: Vault) -> tuple[Account, ...]:
    """The accounts for replication on one server: one for each peer. Of the password there is
    only the hash, as MariaDB keeps it."""
    return tuple(
        Account(
            user=user(peer),
            host=comes_from(peer),
            password_hash=_hash(vault.password(peer)),
            subject=authority.subject(site.name, peer.name),
            privileges=_REPLICATION_SLAVE,
        )
        for peer in site.peers(server)
    )


def in_force() -> dict[str, str]:
    """What has to be so of accounts that are not ours, in words, and the command that succeeds
    where it is. Whether MariaDB answers at all is its unit's affair."""
    met = f'has=$({sql.CLIENT} -BN -e "{_ANYWHERE}") || exit 0\ntest "$has" = 0'
    return {
        "no account that may come from anywhere has the right SUPER (limit those of"
        " SELECT user, host FROM mysql.user WHERE super_priv = 'Y' to addresses)": met
    }


def missing(site: Site, server: Server, seen: Seen, vault: Vault) -> list[Change]:
    """What is to be put right; an empty list where all is as it shall be."""
    shall = wanted(site, server, vault)
    changes = [_make(one) for one in shall if one not in seen.accounts]
    there = {(one.user, one.host) for one in shall}
    for one in seen.accounts:
        if one.user.startswith(_PREFIX):
            if (one.user, one.host) not in there:
                changes.append(_drop(one, "an account for replication of no peer"))
        elif not one.user and not one.role:
            changes.append(_drop(one, "an anonymous account"))
        elif one.password_hash == "" and not one.locked:
            changes.append(_close(one))
    if seen.databases.get("test") == 0 and "test" not in site.database.databases:
        changes.append(_change("remove the empty database test", "DROP DATABASE IF EXISTS test"))
    if seen.open_test:
        changes.append(
            _change(
                "databases named test are no longer everybody's",
                "DELETE FROM mysql.db WHERE User IN ('', 'PUBLIC')"
                " AND (Db = 'test' OR Db LIKE 'test\\\\_%')",
                "FLUSH PRIVILEGES",
            )
        )
    return changes


def _make(one: Account) -> Change:
    who = _who(one)
    return _change(
        f"account {one.user} for replication, from {one.host} alone",
        f"CREATE OR REPLACE USER {who} IDENTIFIED BY PASSWORD {sql.quoted(one.password_hash or '')}"
        f" REQUIRE SUBJECT {sql.quoted(one.subject)}",
        f"GRANT REPLICATION SLAVE ON *.* TO {who}",
    )


def _drop(one: Account, why: str) -> Change:
    return _change(f"remove {why}: {one.user}@{one.host}", f"DROP USER IF EXISTS {_who(one)}")


def _close(one: Account) -> Change:
    """An account that needs no password. Whoever has root's own can still get in as root."""
    if one.socket or (one.user, one.host) == ("root", "localhost"):
        return _change(
            f"{one.user}@{one.host} only by the system's user of that name, not without a password",
            f"ALTER USER {_who(one)} IDENTIFIED VIA unix_socket",
        )
    return _drop(one, "an account with an empty password")


def _change(words: str, *statements: str) -> Change:
    return Change(words, ("SET SESSION sql_log_bin = 0", *statements))


def _who(one: Account) -> str:
    return f"{sql.name(one.user)}@{sql.name(one.host)}"


def _hash(password: str) -> str:
    """As the plugin mysql_native_password keeps it: SHA-1 of SHA-1, which is what the protocol
    needs; TLS and the certificate are what protects the connection."""
    first = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(first, usedforsecurity=False).hexdigest().upper()
