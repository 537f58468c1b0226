"""Paths folded to routes, so that ``/order/17`` and ``/order/18`` count as one.

What a part of a path is shows in its own spelling, and in nothing else: the same path has the same
route wherever and whenever it is folded. Paths are the clients' words, so that every step takes
time that grows with the path and no faster.
"""

from __future__ import annotations

import re

_PATH_LIMIT = 200
_CUT = "…".encode()

#: A part that is a number, with or without a file's suffix. It begins with a plain byte, for
#: which the matcher looks four times as quickly as for what a look-behind allows.
_NUMBER = re.compile(rb"/[0-9]+(?=/|\.[A-Za-z]|$)")
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
#: As in /api/2.0/users: mostly the name of one version, and never many.
_ONE_VERSION = re.compile(rb"[0-9]\.[0-9]")
#: Only letters: nothing in it can vary by its spelling.
_PLAIN = re.compile(rb"[A-Za-z{}]*")
_SUFFIX = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,4}")
#: Kinds of whole parts, in the order in which they are tried.
_KINDS = (
    (b"{int}", re.compile(rb"-?[0-9]+")),
    (b"{uuid}", re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")),
    (
        b"{time}",
        re.compile(
            rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T_ +][0-9]{2}(?::|%3[Aa])?[0-9]{2}[0-9:.%AaBb+-]{0,24}Z?"
        ),
    ),
    (b"{time}", re.compile(rb"[0-9]{2}(?:(?::|%3[Aa])[0-9]{2}){1,2}")),
    (b"{date}", re.compile(rb"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?|[0-9]{2}[.-][0-9]{2}[.-][0-9]{4}")),
    (b"{ip}", re.compile(rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")),
    (b"{ip}", re.compile(rb"(?:[0-9A-Fa-f]{0,4}(?::|%3[Aa])){3,7}[0-9A-Fa-f]{0,4}")),
    (b"{number}", re.compile(rb"-?[0-9]+\.[0-9]+")),
    (b"{version}", re.compile(rb"[0-9]+(?:\.[0-9]+){2,3}")),
    (b"{email}", re.compile(rb"[A-Za-z0-9._+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")),
    # Of a link to set a new password, as Django makes them: when, and a digest.
    (b"{hash}", re.compile(rb"[0-9a-z]{1,13}-[0-9a-f]{20,64}")),
)  # fmt: skip
_SEPARATOR = re.compile(rb"([._~-]+)")
_HEX = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_DIGITS = re.compile(rb"[0-9]+")
#: How often letters and digits take turns tells a digest from a word with a number behind it.
_TURN = re.compile(rb"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_WORD_AND_NUMBER = re.compile(rb"[A-Za-z]{3,}[0-9]{2,}")
_LETTERS_AND_DIGITS = re.compile(rb"[A-Za-z0-9]+")
_TOKEN = re.compile(rb"[A-Za-z0-9_~=.-]+")
#: The first digits of a digest, as folders that hold the files by their digest are called.
_TWO_HEX = re.compile(rb"[0-9a-f]{2}")
#: Words that always have the same number behind them.
_NAMES = frozenset(
    (b"base64", b"base32", b"base58", b"sha256", b"sha512", b"sha384", b"utf16", b"win32", b"win64",
     b"x509", b"arm64", b"amd64", b"int64", b"int32", b"float64")
)  # fmt: skip


def fold_numbers(path: bytes) -> bytes:
    """The cheap half of ``fold``, which is all that most paths need."""
    return _NUMBER.sub(b"/{int}", path)


def fold(path: bytes) -> bytes:
    """The route of a path without its query: variable parts become their kind in braces.

    Numbers become ``{int}``, UUIDs ``{uuid}``, what looks like a digest or a token ``{hash}``;
    docs/routes.md has them all. Folding a route again changes nothing.
    """
    if not path.startswith(b"/"):
        origin = _ORIGIN.match(path)
        path = (path[origin.end() :] if origin else path) or b"/"
    parts = [part if _PLAIN.fullmatch(part) else _fold_part(part) for part in path.split(b"/")]
    for at in range(len(parts) - 1, 0, -1):
        # Files are often kept in folders that are called by the first digits of their digest.
        if parts[at].startswith(b"{hash}") and _TWO_HEX.fullmatch(parts[at - 1]):
            parts[at - 1] = b"{hash}"
    folded = b"/".join(parts)
    if len(folded) > _PATH_LIMIT:
        return folded[: _PATH_LIMIT - len(_CUT)] + _CUT
    return folded


def _fold_part(part: bytes) -> bytes:
    part = part.partition(b";")[0]  # parameters of a part, such as a session (RFC 3986, 3.3)
    part = part.replace(b"<", b"%3C")  # what stands in brackets is a framework's parameter
    if part == b"***":  # a secret, masked before it was written
        return b"{hash}"
    if _ONE_VERSION.fullmatch(part):
        return part
    whole = _whole(part)
    if whole:
        return whole
    stem, suffix = _split_suffix(part)
    return (_whole(stem) or _fold_pieces(stem)) + suffix


def _split_suffix(part: bytes) -> tuple[bytes, bytes]:
    """The name of a file and its suffix, such as ``.tar.gz``."""
    stem = part
    for _ in range(2):
        before, dot, after = stem.rpartition(b".")
        if not before or not _SUFFIX.fullmatch(after):
            break
        stem = before
    return stem, part[len(stem) :]


def _whole(part: bytes) -> bytes:
    if part.isdigit():
        return b"{int}"
    # All other kinds have something in them that is no letter and no digit.
    for kind, pattern in () if part.isalnum() else _KINDS:
        if pattern.fullmatch(part):
            return kind
    if _is_digest(part) or _is_token(part):
        return b"{hash}"
    return b""


def _is_digest(part: bytes) -> bool:
    """Hexadecimal digits: 16 and more, or from 7 on where letters and digits take turns."""
    if len(part) < 7 or not _HEX.fullmatch(part):
        return False
    return len(part) >= 16 or len(_TURN.findall(part)) >= 2


def _is_token(part: bytes) -> bool:
    """Long, and of letters and digits in no order, as base64 gives them."""
    if len(part) < 8 or not _TOKEN.fullmatch(part):
        return False
    turns = len(_TURN.findall(part))
    both_cases = part != part.lower() and part != part.upper()
    if _LETTERS_AND_DIGITS.fullmatch(part) and turns >= (3 if both_cases or len(part) >= 20 else 4):
        return True
    return turns >= 1 and both_cases and len(part) >= 20 and not _is_slug(part)


def _is_slug(part: bytes) -> bool:
    """Words and short numbers with hyphens between: a title, for people to read."""
    pieces = part.replace(b"_", b"-").split(b"-")
    words = [piece for piece in pieces if piece.isalpha()]
    plain = [piece for piece in pieces if not piece.isalpha() and not _DIGITS.fullmatch(piece)]
    return len(pieces) >= 3 and len(words) > len(pieces) // 2 and len(plain) <= 1


def _fold_pieces(part: bytes) -> bytes:
    """What is of several pieces: ``main.{hash}.js``, ``user_{int}``, ``INV-{int}``."""
    pieces = _SEPARATOR.split(part)
    named = pieces[0::2]
    words = sum(not piece.isdigit() and not _is_digest(piece) for piece in named)
    for at, piece in enumerate(named):
        if words <= 1 and _DIGITS.fullmatch(piece):
            named[at] = b"{int}"
        elif _is_digest(piece) or _is_token(piece):
            named[at] = b"{hash}"
        elif words <= 1 and piece not in _NAMES and _WORD_AND_NUMBER.fullmatch(piece):
            named[at] = piece.rstrip(b"0123456789") + b"{int}"
    pieces[0::2] = named
    return b"".join(pieces)
