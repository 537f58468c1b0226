"""What is recorded of a request that is not as PEP 3333 or ASGI says, or lacks its URI.

Nothing here may fail: what cannot be read is left out, what is no text is written as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

from .errors import safely
from .mask import Masker

_SAFE = "/;=,:@!$&'()*+~"
#: More headers than any server lets through.
_MOST_HEADERS = 1000

Headers = list[tuple[bytes, bytes]]


def uri_of(environ: dict[str, Any], start_response: Any) -> str:
    """The URI, where the server does not hand on what the client sent."""
    # wsgiref, and what is built on it, knows it all the same. It is asked first, as some of these
    # servers decode the path in another way than PEP 3333 says.
    handler = getattr(getattr(start_response, "__self__", None), "request_handler", None)
    sent = getattr(handler, "path", None)
    if type(sent) is str and sent:
        return sent
    path = _quoted((environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or "/")
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def _quoted(path: str) -> str:
    try:
        return quote(path, safe=_SAFE, encoding="latin-1")
    except UnicodeEncodeError:  # no bytes in disguise, but text
        return quote(path, safe=_SAFE, errors="backslashreplace")


def environ_texts(environ: Any, masker: Masker) -> bytes:
    """The texts of a begin record, from an environ of any kind."""

    def of(name: str) -> bytes:
        return _bytes(safely(lambda: environ.get(name)))

    uri = of("RAW_URI") or of("REQUEST_URI")
    if not uri:
        path, query = of("SCRIPT_NAME") + of("PATH_INFO"), of("QUERY_STRING")
        uri = quote(path or b"/", safe=_SAFE).encode() + (b"?" + query if query else b"")
    texts = (
        of("REMOTE_ADDR"), of("REQUEST_METHOD"), _masked(uri, masker), of("HTTP_HOST"),
        of("HTTP_X_FORWARDED_FOR"), of("HTTP_USER_AGENT"),
    )  # fmt: skip
    return _joined(texts, masker)


def scope_texts(scope: Any, headers: Any, masker: Masker) -> bytes:
    """The texts of a begin record, from an ASGI scope of any kind."""

    def of(name: str) -> bytes:
        return _bytes(safely(lambda: scope.get(name)))

    found: dict[bytes, bytes] = {}
    for header in headers if type(headers) in (list, tuple) else ():
        pair = safely(tuple, header, default=())
        if len(pair) == 2:
            found[_bytes(pair[0]).lower()] = _bytes(pair[1])
    query = of("query_string")
    path = of("raw_path") or quote(of("path") or b"/", safe=_SAFE).encode()
    uri = path + (b"?" + query if query else b"")
    texts = (
        _bytes(safely(lambda: scope.get("client")[0])), of("method") or b"GET",
        _masked(uri, masker), found.get(b"host", b""), found.get(b"x-forwarded-for", b""),
        found.get(b"user-agent", b""),
    )  # fmt: skip
    return _joined(texts, masker)


def joined_values(headers: Any, wanted: bytes) -> bytes:
    """The values of all headers of one name."""
    return b", ".join([value for name, value in headers if name == wanted])


def kept_headers(scope: Any) -> Any:
    """The headers of a scope, read without using them up: ASGI allows any iterable.

    What can be gone through only once is read here, and the application gets the same again.
    """
    headers = scope["headers"]
    if type(headers) in (list, tuple):
        return headers
    source = iter(headers)
    if source is not headers:
        return list(islice(source, _MOST_HEADERS))
    read: list[Any] = []
    again: Iterable[Any] = source
    try:
        for header in islice(source, _MOST_HEADERS):
            read.append(header)
    except Exception as error:
        again = _raising(error)
    scope["headers"] = chain(read, again)
    return read


def _raising(error: Exception) -> Iterator[Any]:
    yield from ()
    raise error


def _bytes(value: Any) -> bytes:
    """A text as the bytes that it was; of anything else, what it is."""
    kind = type(value)
    if value is None:
        return b""
    if issubclass(kind, str):
        text = str.__str__(value)
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace")
    if issubclass(kind, bytes):
        return bytes.__getitem__(value, slice(None))
    if kind in (int, bool, float):
        return repr(value).encode()
    return b"<%s>" % _bytes(safely(getattr, kind, "__name__", default="?"))


def _masked(uri: bytes, masker: Masker) -> bytes:
    return masker.uri(uri.decode("latin-1")).encode("latin-1", "backslashreplace")


def _joined(texts: Iterable[bytes], masker: Masker) -> bytes:
    whole = b"\0".join([text.replace(b"\0", b"%00") for text in texts])
    return masker.addressed(whole.decode("latin-1")).encode("latin-1", "backslashreplace")
