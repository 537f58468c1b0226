"""Sessions: who is signed in, until they are idle for too long or it is over anyway."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress

from sqlalchemy import Engine, delete, or_, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from standfast.errors import StandfastError
from standfast.store.opening import writing
from standfast.store.people_tables import session

from .accounts import Person, person_by_id

#: A session ends when nothing was asked for so long, and after so long in any case.
IDLE_S = 12 * 3600
ABSOLUTE_S = 7 * 24 * 3600
#: How often it is written down that somebody is still there.
SEEN_EVERY_S = 60
_SECOND = 1_000_000_000
_TOKEN_BYTES = 32


def open_session(engine: Engine, person_id: int, now_ns: int) -> str:
    """A new token of 256 random bits; the store keeps its hash only.

    Raises StandfastError where the person was removed meanwhile.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    over = or_(
        session.c.last_seen_ns < now_ns - IDLE_S * _SECOND,
        session.c.opened_ns < now_ns - ABSOLUTE_S * _SECOND,
    )
    row = {
        "token_hash": _hash(token),
        "person_id": person_id,
        "opened_ns": now_ns,
        "last_seen_ns": now_ns,
    }
    try:
        with writing(engine) as connection:
            connection.execute(delete(session).where(over))
            connection.execute(session.insert().values(row))
    except IntegrityError:
        raise StandfastError("This account was removed.") from None
    return token


def session_person(engine: Engine, token: str, now_ns: int) -> Person | None:
    """Who is signed in with this token; None where it is unknown or over."""
    hashed = _hash(token)
    with engine.connect() as connection:
        row = connection.execute(select(session).where(session.c.token_hash == hashed)).first()
        if (
            row is None
            or now_ns - row.last_seen_ns > IDLE_S * _SECOND
            or now_ns - row.opened_ns > ABSOLUTE_S * _SECOND
        ):
            return None
        found = person_by_id(connection, row.person_id)
    if now_ns - row.last_seen_ns >= SEEN_EVERY_S * _SECOND:
        # A store that is busy turns nobody away who only wants to read.
        with suppress(OperationalError), writing(engine) as connection:
            connection.execute(
                update(session)
                .where(session.c.token_hash == hashed, session.c.last_seen_ns < now_ns)
                .values(last_seen_ns=now_ns)
            )
    return found


def close_session(engine: Engine, token: str) -> None:
    """Signs out; an unknown token is none of our business."""
    with writing(engine) as connection:
        connection.execute(delete(session).where(session.c.token_hash == _hash(token)))


def close_all_sessions(engine: Engine, person_id: int) -> None:
    """Signs out everywhere."""
    with writing(engine) as connection:
        connection.execute(delete(session).where(session.c.person_id == person_id))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
