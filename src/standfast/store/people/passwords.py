"""Passwords: which are allowed, and their argon2 hashes."""

from __future__ import annotations

import os
import secrets
import threading
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from standfast.errors import StandfastError

#: In characters, after normalisation.
SHORTEST = 12
LONGEST = 1024
#: How many characters a character may consist of before it is normalised, generously.
_COMPOSED_OF = 4

# Its defaults are those of RFC 9106 for a server with little memory: 64 MiB a hash.
_hasher = PasswordHasher()
# Many tries at once may cost processor time, but not the memory of the machine.
_at_once = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))


def check_password(name: str, password: str) -> None:
    """Raises StandfastError, which says why, where ``name`` may not have this password."""
    normal = unicodedata.normalize("NFC", password)
    if len(normal) < SHORTEST:
        raise StandfastError(
            f"The password is too short: {len(normal)} characters, and {SHORTEST} are needed."
        )
    if len(normal) > LONGEST:
        raise StandfastError(
            f"The password is too long: {len(normal)} characters, and {LONGEST} are allowed."
        )
    if normal.casefold() == name.casefold():
        raise StandfastError("The password is the name: choose another one.")
    if not _is_text(normal):
        raise StandfastError("The password is not valid UTF-8 text: choose another one.")


def generate_password() -> str:
    """A random password of 20 characters, 120 bits."""
    return secrets.token_urlsafe(15)


def hash_of(password: str) -> str:
    """What may be stored in place of the password."""
    with _at_once:
        return _hasher.hash(_bytes(password))


def fits(password_hash: str | None, password: str) -> bool:
    """Whether it is the password behind the hash. Without a hash it takes as long to say no."""
    with _at_once:
        try:
            return _hasher.verify(password_hash or _nobodys_hash(), _bytes(password))
        except VerificationError:
            return False


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than are used today."""
    return _hasher.check_needs_rehash(password_hash)


def _bytes(password: str) -> bytes:
    # No allowed password is longer, so that cutting a longer one makes no wrong one right.
    normal = unicodedata.normalize("NFC", password[: LONGEST * _COMPOSED_OF + 1])
    return normal.encode("utf-8", "surrogatepass")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nobodys_hash() -> str:
    """A hash with today's parameters and a random value, which no password leads to."""
    salt, value = (
        b64encode(os.urandom(length)).decode().rstrip("=")
        for length in (_hasher.salt_len, _hasher.hash_len)
    )
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${value}"
