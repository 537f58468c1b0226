"""Secrets and addresses, made harmless before they touch the disk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"

#: A parameter is masked when its name, in lower case and without punctuation, holds one of these,
_PARTS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey",
    "authorization", "credential", "session", "cookie", "card", "cvv", "cvc", "jwt", "iban",
)  # fmt: skip
#: or is one of these.
_WHOLE = ("auth", "pass", "pin", "sid", "key", "sig", "signature", "otp")
_PUNCTUATION = re.compile(r"[\W_]")
#: A parameter's name; one may also stand in the value of another, as it is or encoded, as in
#: ``next=/login?token=…`` and ``next=%2Flogin%3Ftoken%3D…``.
_NAME = re.compile(
    r"(?:^|[&;?=]|%(?:25)*(?:26|3[bdf]))((?:[^&;?=%]+|%(?!(?:25)*(?:26|3[bdf])))*)", re.IGNORECASE
)
#: Its value. Whatever may be the next parameter but need not be is taken for a part of the secret.
_VALUE = re.compile(r"(=|%(?:25)*3d)(?!&|\Z)[^&]*", re.IGNORECASE)
_NESTED = re.compile(r"%(?:25)*3d", re.IGNORECASE)
#: The same in the text of an error: ``password=…``, ``password='…'`` or ``'password': '…'``.
_WORD = re.compile(r"(?<![\w.%\-\[\]])([\w.%\-\[\]]+)(?==|['\"]:)")
_WORD_VALUE = re.compile(
    r"""(=|['"]:[ ]?)
    (?: [bru]{0,2} (?: '(?:[^'\\\n]|\\.)*'? | "(?:[^"\\\n]|\\.)*"? ) | [^\s&;'"<>]+ )""",
    re.IGNORECASE | re.VERBOSE,
)
_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
#: A name encoded twice is decoded twice by careless applications, and a URI within a URI within a
#: URI encodes it once more each time.
_ENCODINGS = 4
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 64


class Masker:
    """Masks the values of parameters whose names say that they are secret."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names`` are the owner's own, added to the built-in ones."""
        own = tuple(filter(None, (_plain(name) for name in names)))
        self._parts = _PARTS + own
        # Names of parameters as they were sent, seen lately and not secret: most requests have
        # only such, whatever their values.
        self._harmless: set[str] = set()

    def is_clean(self, query: str) -> bool:
        """Whether the query can hold no secret, so that there is nothing to mask."""
        harmless = self._harmless
        for parameter in query.split("&"):
            name, _, value = parameter.partition("=")
            if "=" in value or (name not in harmless and not self._is_learnt(name)):
                return False
        return (
            ";" not in query
            and "?" not in query
            and ("%" not in query or _NESTED.search(query) is None)
        )

    def uri(self, uri: str) -> str:
        """``uri`` with the values of secret parameters, and a user and password, masked."""
        path, mark, query = uri.partition("?")
        if uri[:1] != "/":
            path = _USER_INFO.sub(f"{MASK}@", path)
        return path + mark + self._masked(query, _NAME, _VALUE)

    def text(self, text: str) -> str:
        """``text`` with what looks like ``password=…``, or a user and password, masked."""
        return self._masked(_USER_INFO.sub(f"{MASK}@", text), _WORD, _WORD_VALUE)

    def _masked(self, text: str, names: re.Pattern[str], values: re.Pattern[str]) -> str:
        kept: list[str] = []
        at = 0
        for name in names.finditer(text):
            # What looks like a name within a secret value is masked with it.
            if name[1] and name.start() >= at and self._is_secret(name[1]):
                value = values.match(text, name.end())
                if value:
                    kept += text[at : value.end(1)], MASK
                    at = value.end()
        return "".join(kept) + text[at:]

    def _is_learnt(self, name: str) -> bool:
        """Whether the name is harmless; it is known from now on."""
        if self._is_secret(name):
            return False
        if len(self._harmless) >= _REMEMBERED:
            self._harmless.clear()
        if len(name) <= _LONGEST_REMEMBERED:
            self._harmless.add(name)
        return True

    def _is_secret(self, name: str) -> bool:
        plain = _plain(name)
        return plain in _WHOLE or any(part in plain for part in self._parts)


def _plain(name: str) -> str:
    try:
        name = name.encode("latin-1").decode("utf-8")  # bytes come as Latin-1 (PEP 3333)
    except UnicodeError:
        pass
    for _ in range(_ENCODINGS):
        name = unquote(name)
    return _PUNCTUATION.sub("", name.lower())


def truncated(addresses: str) -> str:
    """A list of addresses with the host's part set to zero: /24 of IPv4, /48 of IPv6.

    What is no address is left out: it might be one in a form that we do not know.
    """
    return ", ".join(filter(None, map(_network, addresses.split(","))))


def _network(text: str) -> str:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    prefix = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False).network_address)
