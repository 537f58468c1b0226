"""Secrets and addresses, made harmless before they touch the disk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"
#: No URI of so few characters has room for a key in its path.
SHORT = 24

#: A parameter is masked when its name, in lower case and without punctuation, holds one of these,
_PARTS = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "accesskey",
    "privatekey", "sshkey", "authkey", "licensekey", "licencekey", "encryptionkey", "signingkey",
    "masterkey", "accountkey", "authorization", "credential", "signature", "session", "sessid",
    "cookie", "card", "cvv", "cvc", "jwt", "iban", "totp", "csrf", "xsrf", "samlresponse",
    "samlrequest", "authcode", "verificationcode", "recoverycode", "resetcode", "backupcode",
)  # fmt: skip
#: or is one of these,
_WHOLE = ("auth", "key", "code", "codeverifier", "ticket", "userpass", "newpass", "oldpass")
#: or has one of these as a word of its own, as user_pass, userPass and user[pass] have.
_WORDS = frozenset(("pass", "pw", "pin", "sid", "sig", "otp", "hmac", "bearer", "ssn"))
#: Words with a card in them that is none.
_NO_CARD = re.compile(r"(?:dis|wild|post|score|flash)card|cardi(?:nal|o)")
_PUNCTUATION = re.compile(r"[\W_]+")
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: A parameter's name; one may also stand in the value of another, as it is or encoded, as in
#: ``next=/login?token=…`` and ``next=%2Flogin%3Ftoken%3D…``.
_NAME = re.compile(
    r"(?:^|[&;?=]|%(?:25)*(?:26|3[bdf]))((?:[^&;?=%]+|%(?!(?:25)*(?:26|3[bdf])))*)", re.IGNORECASE
)
#: Its value. Whatever may be the next parameter but need not be is taken for a part of the secret.
_VALUE = re.compile(r"(=|%(?:25)*3d)(?!&|\Z)[^&]*", re.IGNORECASE)
#: A name and its value in JSON: as with parameters, all that follows is taken for the value.
_JSON_NAME = re.compile(
    r"""(?:"|%(?:25)*22) ((?:[^"&%]|%(?!(?:25)*22))*) (?:\\|%(?:25)*5c)* (?:"|%(?:25)*22)
    (?=(?:[ +]|%(?:25)*20)*(?::|%(?:25)*3a))""",
    re.IGNORECASE | re.VERBOSE,
)
_JSON_VALUE = re.compile(r"((?:[ +]|%(?:25)*20)*(?::|%(?:25)*3a))[^&]*", re.IGNORECASE)
#: An encoded = or quotation mark: there may be a parameter, or JSON, within the value of another.
_NESTED = re.compile(r"%(?:25)*(?:3d|22)", re.IGNORECASE)
#: The same in the text of an error: ``password=…``, ``password='…'`` or ``'password': '…'``.
_WORD = re.compile(r"(?<![\w.%\-\[\]])([\w.%\-\[\]]+)(?==|['\"]:)")
_WORD_VALUE = re.compile(
    r"""(=|['"]:[ ]?)
    (?: [bru]{0,2} (?: '(?:[^'\\\n]|\\.)*'? | "(?:[^"\\\n]|\\.)*"? ) | [^\s&;'"<>]+ )""",
    re.IGNORECASE | re.VERBOSE,
)
#: A server that takes an absolute URI for a path makes ``http:/user:…`` of it.
_USER_INFO = re.compile(r"(?<=:/)(/?)[^/?#\s'\"<>]*@")
#: Finds a long part of a path with a digit in it: a quick look, for every request.
has_long_part = re.compile(r"/(?=[^/?]{16})[^/?0-9]*[0-9]").search
#: A part that says what the long one after it is: a link that was sent by mail opens a door.
_KEY_TO = (
    "reset", "passw", "token", "verif", "confirm", "activat", "invit", "unsubscri", "magic",
    "secret",
    "eyj",  # how a JWT begins
)  # fmt: skip
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w.-]*")
#: A name encoded twice is decoded twice by careless applications, and a URI within a URI within a
#: URI encodes it once more each time.
_ENCODINGS = 4
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 64
_LONGEST_CLEAN = 160
#: Makes every digit a zero. No built-in name has a digit, and which digits a key in a path has is
#: of no interest: of two URIs that differ in digits alone, either both hold a secret or neither.
ZEROS = bytes.maketrans(b"123456789", b"000000000")


class Masker:
    """Masks the values of parameters whose names say that they are secret."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names`` are the owner's own, added to the built-in ones."""
        own = tuple(filter(None, (_plain(_decoded(name)) for name in names)))
        self._parts = _PARTS + own
        # Names of parameters as they were sent, seen lately and not secret: most requests have
        # only such, whatever their values.
        self._harmless: set[str] = set()
        #: URIs with zeros for digits, seen lately and clean: many differ in numbers alone.
        self.clean: set[bytes] = set()
        self._digits_matter = any(map(str.isdigit, "".join(own)))

    def is_clean(self, uri: str) -> bool:
        """Whether the URI can hold no secret, so that there is nothing to mask in it. Asked only
        where it is not in ``clean`` with ``ZEROS`` for its digits; it may be there from now on."""
        path, _, query = uri.partition("?")
        if path[:1] != "/" or (len(path) > SHORT and has_long_part(path) and may_have_key(path)):
            return False
        if query and not self._is_clean_query(query):
            return False
        if len(uri) <= _LONGEST_CLEAN and not self._digits_matter and uri.isascii():
            if len(self.clean) >= _REMEMBERED:
                self.clean.clear()
            self.clean.add(uri.encode().translate(ZEROS))
        return True

    def _is_clean_query(self, query: str) -> bool:
        harmless = self._harmless
        for parameter in query.split("&"):
            # Up to the last "=": where there are two, this is no harmless name.
            name = parameter.rpartition("=")[0]
            if name not in harmless and ("=" in name or not self._is_learnt(name)):
                return False
        if ";" in query or "?" in query or '"' in query:
            return False
        return "%" not in query or _NESTED.search(query) is None

    def uri(self, uri: str) -> str:
        """``uri`` masked: the values of secret parameters, a user and password, and keys that are
        a part of the path."""
        path, mark, query = uri.partition("?")
        if "@" in path:
            path = _USER_INFO.sub(rf"\1{MASK}@", path)
        path = _without_keys(path)
        query = self._masked(query, _NAME, _VALUE)
        return path + mark + self._masked(query, _JSON_NAME, _JSON_VALUE)

    def addressed(self, fields: str) -> str:
        """The six texts of a begin record, joined by zero bytes, with no user and password in the
        URI's path or in the host. For texts with an ``@``: no others can have one."""
        client, method, uri, host, others = fields.split("\0", 4)
        path, mark, query = uri.partition("?")
        path = _USER_INFO.sub(rf"\1{MASK}@", path)
        _, at, name = host.rpartition("@")
        host = f"{MASK}@{name}" if at else host
        return "\0".join((client, method, path + mark + query, host, others))

    def text(self, text: str) -> str:
        """``text`` with what looks like ``password=…``, a user and password, or a key masked."""
        text = _JWT.sub(MASK, _USER_INFO.sub(rf"\1{MASK}@", text))
        return self._masked(text, _WORD, _WORD_VALUE)

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
        name = _decoded(name)
        plain = _NO_CARD.sub("", _plain(name))
        return (
            plain in _WHOLE
            or any(part in plain for part in self._parts)
            or not _WORDS.isdisjoint(_PUNCTUATION.split(name.lower()))
            or not _WORDS.isdisjoint(_PUNCTUATION.split(_CAPITAL.sub("_", name).lower()))
        )


def may_have_key(uri: str) -> bool:
    """Whether a URI with a long part may have a key in its path, such as that of a link that was
    sent by mail."""
    lower = uri.lower()
    return any(word in lower for word in _KEY_TO)


def _without_keys(path: str) -> str:
    if not (has_long_part(path) and may_have_key(path)):
        return path
    parts = path.split("/")
    a_key_comes = False
    for number, part in enumerate(parts):
        if a_key_comes and has_long_part("/" + part):
            parts[number] = MASK
        else:
            parts[number] = _JWT.sub(MASK, part)
        a_key_comes = a_key_comes or any(word in part.lower() for word in _KEY_TO)
    return "/".join(parts)


def _decoded(name: str) -> str:
    try:
        name = name.encode("latin-1").decode("utf-8")  # bytes come as Latin-1 (PEP 3333)
    except UnicodeError:
        pass
    for _ in range(_ENCODINGS):
        name = unquote(name)
    return name


def _plain(name: str) -> str:
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
