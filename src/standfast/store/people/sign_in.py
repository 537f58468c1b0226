"""Signing in: the right password, or a wait that grows with every failure.

A try is counted before its password is looked at, and taken back when it was right: however
many are made at once, no more of them are looked at than one after another would be.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from sqlalchemy import Connection, Engine, case, delete, select, update

from standfast.store.opening import writing
from standfast.store.people_tables import failed_sign_in, person, secret

from . import passwords
from .accounts import Person, folded, person_by_id
from .secret import signing_key

FORGOTTEN_S = 24 * 3600
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class SignIn:
    """What came of a try. ``retry_after_s`` is 0 unless it was refused without looking at it."""

    person: Person | None
    retry_after_s: float


@dataclass(frozen=True)
class _Limit:
    """After ``free`` failures each further try waits: 1 s, then twice as long each time."""

    free: int
    longest_s: int

    def wait_s(self, failures: int) -> int:
        """How long after the last failure the next try has to wait."""
        over = failures - self.free
        return 0 if over < 0 else min(1 << min(over, 30), self.longest_s)


ACCOUNT = _Limit(free=5, longest_s=60)
ADDRESS = _Limit(free=20, longest_s=15 * 60)


@dataclass(frozen=True)
class _Count:
    """The failures of one account or one address, as far as they are not forgotten."""

    subject: str
    limit: _Limit
    failures: int
    last_ns: int

    def wait_ns(self, now_ns: int) -> int:
        """How long from now the next try has to wait."""
        # A clock that was set back must not keep anybody out until it has caught up.
        passed_ns = abs(now_ns - self.last_ns)
        return max(0, self.limit.wait_s(self.failures) * _SECOND - passed_ns)


def sign_in(engine: Engine, name: str, password: str, address: str, now_ns: int) -> SignIn:
    """Who has this name and password, as tried from ``address`` at ``now_ns`` of the epoch.

    Unknown names cost the same time, and are slowed as known ones are.
    """
    name = name.strip()
    key = signing_key(engine)
    subjects = (
        (_subject(key, "account", name.lower()), ACCOUNT),
        (_subject(key, "address", network_of(address)), ADDRESS),
    )
    # Looked at twice: who has to wait is told so without keeping the watcher from its writing.
    with engine.connect() as connection:
        refused = _refusal(_counts(connection, subjects, now_ns), now_ns)
    if refused:
        return refused
    with writing(engine) as connection:
        _one_at_a_time(connection)
        before = _counts(connection, subjects, now_ns)
        refused = _refusal(before, now_ns)
        if refused:
            return refused
        _count(connection, before, now_ns)
        row = connection.execute(
            select(person.c.id, person.c.password_hash).where(person.c.folded == folded(name))
        ).first()
    right = passwords.fits(row.password_hash if row else None, password)
    if row is None or not right:
        return SignIn(None, 0.0)
    renewed = passwords.hash_of(password) if passwords.is_outdated(row.password_hash) else None
    with writing(engine) as connection:
        _one_at_a_time(connection)
        _take_back(connection, *before, now_ns=now_ns)
        if renewed:
            connection.execute(
                update(person)
                .where(person.c.id == row.id, person.c.password_hash == row.password_hash)
                .values(password_hash=renewed)
            )
        return SignIn(person_by_id(connection, row.id), 0.0)


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or its /64, all of which one IPv6 customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((int(parsed), 64), strict=False))
    return str(parsed)


def _subject(key: bytes, kind: str, text: str) -> str:
    return hmac.digest(key, f"{kind}:{text}".encode("utf-8", "surrogatepass"), "sha256").hex()


def _one_at_a_time(connection: Connection) -> None:
    """Lets no other try be counted meanwhile, by a lock on a row that is always there.

    SQLite needs none: its transactions that write are alone.
    """
    connection.execute(select(secret.c.name).with_for_update())


def _counts(
    connection: Connection, subjects: Sequence[tuple[str, _Limit]], now_ns: int
) -> list[_Count]:
    counts = []
    for subject, limit in subjects:
        wanted = select(failed_sign_in).where(failed_sign_in.c.subject == subject)
        row = connection.execute(wanted).first()
        if row is None or abs(now_ns - row.last_ns) > FORGOTTEN_S * _SECOND:
            counts.append(_Count(subject, limit, 0, now_ns))
        else:
            counts.append(_Count(subject, limit, row.failures, row.last_ns))
    return counts


def _refusal(counts: Sequence[_Count], now_ns: int) -> SignIn | None:
    wait_ns = max(one.wait_ns(now_ns) for one in counts)
    return SignIn(None, wait_ns / _SECOND) if wait_ns else None


def _count(connection: Connection, counts: Sequence[_Count], now_ns: int) -> None:
    for one in counts:
        connection.execute(delete(failed_sign_in).where(failed_sign_in.c.subject == one.subject))
        connection.execute(
            failed_sign_in.insert().values(
                subject=one.subject, failures=one.failures + 1, last_ns=now_ns
            )
        )
    forgotten = failed_sign_in.c.last_ns < now_ns - FORGOTTEN_S * _SECOND
    connection.execute(delete(failed_sign_in).where(forgotten))


def _take_back(connection: Connection, account: _Count, address: _Count, *, now_ns: int) -> None:
    """The try was right: the account begins anew, the address stands as it stood before."""
    of = failed_sign_in.c
    connection.execute(delete(failed_sign_in).where(of.subject == account.subject))
    connection.execute(
        update(failed_sign_in)
        .where(of.subject == address.subject, of.failures > 0)
        .values(
            failures=of.failures - 1,
            # Unless somebody else has failed meanwhile.
            last_ns=case((of.last_ns == now_ns, address.last_ns), else_=of.last_ns),
        )
    )
