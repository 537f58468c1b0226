"""The tables of those who may look: people, their sessions, share links, failed sign-ins.

Nothing in them opens a door by itself: passwords are argon2 hashes, tokens SHA-256 hashes, and
who failed to sign in is a keyed hash. Only the signing key is what it is.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from .tables import NAME_LIMIT, metadata

PERSON_LIMIT = 64

#: ``folded`` is the name as it is compared, ``name`` as it was given.
person = Table(
    "person",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(PERSON_LIMIT), nullable=False),
    Column("folded", String(PERSON_LIMIT), nullable=False, unique=True),
    Column("admin", Boolean, nullable=False),
    Column("password_hash", String(255), nullable=False),
    # The number of someone who was removed is never given to somebody else.
    sqlite_autoincrement=True,
)


def _of_person(*, primary_key: bool = False) -> Column[int]:
    """Whose row it is: it goes when the person goes."""
    key = ForeignKey("person.id", ondelete="CASCADE")
    return Column("person_id", key, nullable=False, primary_key=primary_key)


#: The applications that a person sees, by name: they need not be in the store yet.
person_app = Table(
    "person_app",
    metadata,
    _of_person(primary_key=True),
    Column("app", String(NAME_LIMIT), primary_key=True),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _of_person(),
    Column("opened_ns", BigInteger, nullable=False),
    Column("last_seen_ns", BigInteger, nullable=False),
    Index(None, "person_id"),
    Index(None, "opened_ns"),
    Index(None, "last_seen_ns"),
)

#: How often it failed of late, by account and by address; ``subject`` is a keyed hash, because
#: people type passwords where the name belongs.
failed_sign_in = Table(
    "failed_sign_in",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Index(None, "last_ns"),
)

#: One report that whoever has the link may read until it expires. The numbers are random, so
#: that a link to a share that was withdrawn never leads to another one.
share = Table(
    "share",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _of_person(),
    Column("app", String(NAME_LIMIT), nullable=False),
    Column("since_ns", BigInteger),
    Column("until_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index(None, "person_id"),
    Index(None, "expires_ns"),
)

#: Random bytes that all processes on this store share, by what they are for.
secret = Table(
    "secret",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary(64), nullable=False),
)
