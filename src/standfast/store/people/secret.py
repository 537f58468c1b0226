"""The key with which everything that leaves the house is signed."""

from __future__ import annotations

import secrets
from contextlib import suppress

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from standfast.store.opening import writing
from standfast.store.people_tables import secret

_NAME = "signing"
_BYTES = 64


def signing_key(engine: Engine) -> bytes:
    """64 random bytes, made once: the same for all processes on this store."""
    found = _stored(engine)
    if found is None:
        # Another process may have been faster: then its key counts.
        with suppress(IntegrityError), writing(engine) as connection:
            connection.execute(
                secret.insert().values(name=_NAME, value=secrets.token_bytes(_BYTES))
            )
        found = _stored(engine)
    if found is None:
        raise RuntimeError("the signing key was not kept")
    return found


def _stored(engine: Engine) -> bytes | None:
    with engine.connect() as connection:
        value = connection.execute(select(secret.c.value).where(secret.c.name == _NAME)).scalar()
    return None if value is None else bytes(value)
