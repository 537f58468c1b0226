"""Secrets and addresses, made harmless before they touch the disk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

MASK = "***"

#: A parameter is masked when its name, in lower case and without punctuation, holds one of these,
_PARTS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey",
    "authorization", "credential", "session", "cookie", "card", "cvv", "cvc", "jwt", "iban",
)  # fmt: skip
#: or is one of these.
_WHOLE = ("auth", "pass", "pin", "sid", "key", "sig", "signature", "otp")
_PUNCTUATION = re.compile(r"[^a-z0-9]")
_PARAMETER = re.compile(r"([&;]?)([^=&;]*)(=?)([^&;]*)")
#: Something like ``password=…`` in a line of text, as in the message of an exception.
_ASSIGNMENT = re.compile(r"([\w.%\-\[\]]{2,64})=([^\s&;'\"<>]+)")
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.\-]*://)[^/?#@]*@", re.IGNORECASE)
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
        """Whether the query holds only names that are known to be harmless."""
        harmless = self._harmless
        for parameter in query.split("&"):
            if parameter.partition("=")[0] not in harmless:
                return False
        return ";" not in query

    def uri(self, uri: str) -> str:
        """``uri`` with the values of secret parameters, and a user and password, masked."""
        path, mark, query = uri.partition("?")
        if uri[:1] != "/":
            path = _USER_INFO.sub(rf"\g<1>{MASK}@", path)
        return path + mark + _PARAMETER.sub(self._parameter, query)

    def text(self, text: str) -> str:
        """``text`` with what looks like ``password=…`` masked."""
        return _ASSIGNMENT.sub(
            lambda match: f"{match[1]}={MASK}" if self._is_secret(match[1]) else match[0], text
        )

    def _parameter(self, match: re.Match[str]) -> str:
        mark, name, equals, value = match.groups()
        if not self._is_secret(name):
            if len(self._harmless) >= _REMEMBERED:
                self._harmless.clear()
            if len(name) <= _LONGEST_REMEMBERED:
                self._harmless.add(name)
            return match[0]
        return f"{mark}{name}={MASK}" if equals and value else match[0]

    def _is_secret(self, name: str) -> bool:
        plain = _plain(name)
        return plain in _WHOLE or any(part in plain for part in self._parts)


def _plain(name: str) -> str:
    # Twice: a name encoded twice is decoded twice by careless applications.
    return _PUNCTUATION.sub("", unquote_plus(unquote_plus(name)).lower())


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
