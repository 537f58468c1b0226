"""Known browsers: a proof of an earlier sign-in, which the browser keeps as a cookie.

It lets nobody in. Whoever shows it waits for the failures of this browser alone, whatever others
have tried at the account. It belongs to one account and ends with its password.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256

from sqlalchemy import Engine, select

from standfast.store.people_tables import person

from .accounts import Person
from .secret import signing_key

#: How long a browser stays known after a sign-in.
KNOWN_S = 180 * 24 * 3600
_SECOND = 1_000_000_000
_PROOF = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


def known_browser(engine: Engine, signed_in: Person, now_ns: int) -> str:
    """A proof that this person has signed in, for a browser that has none."""
    key = signing_key(engine)
    with engine.connect() as connection:
        wanted = select(person.c.password_hash).where(person.c.id == signed_in.id)
        password_hash = connection.execute(wanted).scalar() or ""
    until_s = now_ns // _SECOND + KNOWN_S
    browser = secrets.token_urlsafe(16)
    return f"{until_s}.{browser}.{_seal(key, signed_in.id, password_hash, until_s, browser)}"


def browser_label(engine: Engine, name: str) -> str:
    """By what a browser tells its proofs of several accounts apart; the name is not in it."""
    return _digest(signing_key(engine), f"label:{name.strip().lower()}")[:16]


def proven_browser(
    key: bytes, proof: str, person_id: int, password_hash: str, now_ns: int
) -> str | None:
    """Which browser has this proof of the account; None where it is none, or too old."""
    found = _PROOF.fullmatch(proof)
    if found is None:
        return None
    until_s, browser, seal = int(found[1]), found[2], found[3]
    expected = _seal(key, person_id, password_hash, until_s, browser)
    fits = hmac.compare_digest(seal, expected) and now_ns < until_s * _SECOND
    return browser if fits else None


def _seal(key: bytes, person_id: int, password_hash: str, until_s: int, browser: str) -> str:
    return _digest(key, f"browser:{person_id}:{password_hash}:{until_s}:{browser}")


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), sha256).hex()
