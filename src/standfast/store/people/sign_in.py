"""Signing in: the right password, or a wait that grows with every failure.

A try is counted before its password is looked at, and taken back when it was right: however
many are made at once, no more of them are looked at than one after another would be. How long a
try waits is decided in slowing.py.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, delete, select, update

from standfast.store.opening import writing
from standfast.store.people_tables import failed_sign_in, person, secret

from . import passwords
from .accounts import Person, folded, person_by_id
from .browsers import proven_browser
from .secret import signing_key
from .slowing import FORGOTTEN_S, Count, Known, Stranger

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class SignIn:
    """What came of a try. ``retry_after_s`` is 0 unless it was refused without looking at it."""

    person: Person | None
    retry_after_s: float


@dataclass(frozen=True)
class Try:
    """A try that need not wait as far as is known; its password has not been looked at.

    ``known`` says that the browser proved an earlier sign-in. ``subjects`` are what failures are
    counted for: keyed hashes, because people type passwords where the name belongs. ``failures``
    are those of the first of them, the browser or the address.
    """

    name: str
    password: str
    now_ns: int
    known: bool
    subjects: tuple[str, ...]
    failures: int = 0


def sign_in(
    engine: Engine, name: str, password: str, address: str, now_ns: int, proof: str = ""
) -> SignIn:
    """Who has this name and password, as tried from ``address`` at ``now_ns`` of the epoch.

    ``proof`` is what known_browser gave to this browser at an earlier sign-in. Unknown names cost
    the same time, and are slowed as known ones are.
    """
    asked = ask(engine, name, password, address, now_ns, proof)
    return asked if isinstance(asked, SignIn) else look_at(engine, asked)


def ask(
    engine: Engine, name: str, password: str, address: str, now_ns: int, proof: str = ""
) -> Try | SignIn:
    """The quick part of signing in: a refusal, or the try for look_at."""
    name = name.strip()
    key = signing_key(engine)
    account = f"{len(name)}:{name.lower()}"
    with engine.connect() as connection:
        row = _row(connection, name)
        browser = proven_browser(
            key, proof, row.id if row else 0, row.password_hash if row else "", now_ns
        )
        network = network_of(address)
        subjects: tuple[str, ...] = (
            _subject(key, "address", network),
            _subject(key, "pair", f"{account}:{network}"),
            _subject(key, "strangers", account),
        )
        if browser is not None:
            subjects = (_subject(key, "browser", f"{account}:{browser}"),)
        made = Try(name, password, now_ns, browser is not None, subjects)
        # Looked at twice: who has to wait is told so without keeping the watcher from writing.
        stored = _counts(connection, made)
        return _refusal(stored, made) or replace(made, failures=stored[0].failures)


def ask_again(
    engine: Engine, signed_in: Person, password: str, session_token: str, now_ns: int
) -> Try | SignIn:
    """As ask, of somebody who is signed in: counted for this session alone."""
    subject = _subject(signing_key(engine), "session", session_token)
    made = Try(signed_in.name, password, now_ns, True, (subject,))
    with engine.connect() as connection:
        return _refusal(_counts(connection, made), made) or made


def look_at(engine: Engine, made: Try) -> SignIn:
    """The slow part of signing in: whether the password is right."""
    with writing(engine) as connection:
        _one_at_a_time(connection)
        stored = _counts(connection, made)
        refused = _refusal(stored, made)
        if refused:
            return refused
        _count(connection, stored, made)
        row = _row(connection, made.name)
    right = passwords.fits(row.password_hash if row else None, made.password)
    if row is None or not right:
        return SignIn(None, 0.0)
    outdated = passwords.is_outdated(row.password_hash)
    renewed = passwords.hash_of(made.password) if outdated else None
    with writing(engine) as connection:
        _one_at_a_time(connection)
        _take_back(connection, stored, made)
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


def _row(connection: Connection, name: str) -> Row[Any, Any] | None:
    wanted = select(person.c.id, person.c.password_hash).where(person.c.folded == folded(name))
    return connection.execute(wanted).first()


def _subject(key: bytes, kind: str, text: str) -> str:
    return hmac.digest(key, f"{kind}:{text}".encode("utf-8", "surrogatepass"), "sha256").hex()


def _one_at_a_time(connection: Connection) -> None:
    """Lets no other try be counted meanwhile, by a lock on a row that is always there.

    SQLite needs none: its transactions that write are alone.
    """
    connection.execute(select(secret.c.name).with_for_update())


def _counts(connection: Connection, made: Try) -> list[Count]:
    wanted = select(failed_sign_in).where(failed_sign_in.c.subject.in_(made.subjects))
    stored = {row.subject: Count(row.failures, row.last_ns) for row in connection.execute(wanted)}
    return [stored.get(subject, Count()) for subject in made.subjects]


def _seen(stored: Sequence[Count], made: Try) -> Known | Stranger:
    return (Known if made.known else Stranger).seen(stored, made.now_ns)


def _refusal(stored: Sequence[Count], made: Try) -> SignIn | None:
    wait_ns = _seen(stored, made).wait_ns(made.now_ns)
    return SignIn(None, wait_ns / _SECOND) if wait_ns else None


def _count(connection: Connection, stored: Sequence[Count], made: Try) -> None:
    counts = _seen(stored, made).failed(made.now_ns)
    of = failed_sign_in.c
    connection.execute(delete(failed_sign_in).where(of.subject.in_(made.subjects)))
    connection.execute(
        failed_sign_in.insert(),
        [
            {"subject": subject, "failures": count.failures, "last_ns": count.last_ns}
            for subject, count in zip(made.subjects, counts, strict=True)
        ],
    )
    forgotten = of.last_ns < made.now_ns - FORGOTTEN_S * _SECOND
    connection.execute(delete(failed_sign_in).where(forgotten))


def _take_back(connection: Connection, before: Sequence[Count], made: Try) -> None:
    """The try was right: it is not counted, and the one who made it has failed no more."""
    of = failed_sign_in.c
    own = made.subjects[0] if made.known else made.subjects[1]
    connection.execute(delete(failed_sign_in).where(of.subject == own))
    for subject, count in zip(made.subjects, before, strict=True):
        connection.execute(
            update(failed_sign_in)
            .where(of.subject == subject, of.failures > 0)
            .values(
                failures=of.failures - 1,
                # Unless somebody else has failed meanwhile.
                last_ns=case((of.last_ns == made.now_ns, count.last_ns), else_=of.last_ns),
            )
        )
