"""Reads ``site.toml``, and says of every mistake where it is and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from standfast.errors import UsageError

from . import lines
from .site import FORMATS, Site

#: More than this is no inventory, in bytes.
_LARGEST = 1_000_000
#: Ports that have another use on these servers, beside those for passive FTP.
_TAKEN = {
    20: "FTP",
    21: "FTP",
    53: "the name service",
    80: "the web",
    443: "the web",
    3306: "MariaDB",
}
_PASSIVE = range(40000, 40100)

#: The first line of a private key is shorter, in bytes.
_KEY_START = 100

Problem = tuple[lines.Path, str]


def load_site(path: str | Path) -> Site:
    """The site that a file describes. Raises UsageError, which names every mistake by line."""
    file = Path(path)
    text = _read(file)
    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: this is not TOML: {error}") from None
    except ValueError:
        # Python reads no number of thousands of digits.
        raise UsageError(f"{file}: this is not TOML: a number in it is too large") from None
    places = lines.Lines(text)
    try:
        site = Site.model_validate(given)
    except ValidationError as error:
        # A list of which nothing is right is not said to be empty as well.
        found = [
            _problem(each)
            for each in error.errors(include_url=False)
            if not (each["type"] == "too_short" and each["input"])
        ]
    else:
        site.at(file)
        found = [*_contradictions(site), *_unreadable(site)]
        if not found:
            return site
    shown = dict.fromkeys(_words(file, places, *each) for each in _in_order(found, places))
    raise UsageError("\n".join(shown))


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{file}: this is no inventory: it is larger than {_LARGEST} bytes")
        return file.read_bytes().decode()
    except FileNotFoundError:
        raise UsageError(
            f"{file}: there is no such file; `standfast cluster init` writes one to begin with"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: byte {error.start} is not UTF-8, which TOML must be") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file}: cannot be read: {reason}") from None


def _in_order(found: list[Problem], places: lines.Lines) -> list[Problem]:
    return sorted(found, key=lambda problem: places.of(problem[0]) or 0)


def _words(file: Path, places: lines.Lines, path: lines.Path, words: str) -> str:
    line = places.of(path)
    key = "".join(f"[{each}]" if isinstance(each, int) else f".{_harmless(each)}" for each in path)
    where = f"{file}:{line}" if line else str(file)
    return f"{where}: {key.lstrip('.')}: {words}" if key else f"{where}: {words}"


def _harmless(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) < 60 else f"{text[:57]}…"


def _problem(error: ErrorDetails) -> Problem:
    """One of pydantic's errors in our words."""
    path: lines.Path = error["loc"]
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    shown = _shown(value)
    if kind == "missing":
        return path, "is missing"
    if kind == "extra_forbidden":
        return path, _unknown(path)
    if kind == "string_pattern_mismatch":
        return path, f"must be {FORMATS[limits['pattern']]}; it is {shown}"
    if kind == "literal_error":
        return path, f"must be {limits['expected']}; it is {shown}"
    if kind in ("greater_than_equal", "less_than_equal"):
        word, limit = ("least", "ge") if kind == "greater_than_equal" else ("most", "le")
        return path, f"must be at {word} {limits[limit]}; it is {shown}"
    if kind == "value_error":
        return path, str(limits["error"])
    if kind == "ip_any_address":
        return path, f"must be an IPv4 or IPv6 address; it is {shown}"
    if kind == "ip_any_network":
        return (
            path,
            f"must be an IPv4 or IPv6 address or network, like '192.0.2.0/24'; it is {shown}",
        )
    if kind == "string_too_long":
        return path, f"must have at most {limits['max_length']} characters; it is {shown}"
    if kind == "string_too_short":
        return path, "must not be empty"
    if kind == "too_short":
        return path, "must have at least one"
    if kind == "too_long":
        return path, f"must have at most {limits['max_length']}"
    wanted = _KINDS.get(kind)
    if wanted is not None:
        return path, f"must be {wanted}; it is {shown}"
    return path, f"{error['msg']}; it is {shown}"


_KINDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number, without quotes",
    "int_parsing": "a whole number, without quotes",
    "int_from_float": "a whole number",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
}


def _unknown(path: lines.Path) -> str:
    """What is said of a key that nothing knows."""
    *around, name = path
    model: type[BaseModel] = Site
    for part in around:
        if isinstance(part, str):
            model = _model_of(model, part)
    known = list(model.model_fields)
    near = get_close_matches(str(name), known, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown key; {hint}allowed: {', '.join(known)}"


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model of a field that is a table or a list of tables."""
    kind: Any = model.model_fields[name].annotation
    return next(
        each
        for each in (kind, *get_args(kind))
        if isinstance(each, type) and issubclass(each, BaseModel)
    )


def _contradictions(site: Site) -> Iterator[Problem]:
    """What no single key says: each is right by itself."""
    names = [server.name for server in site.servers]
    if site.master not in names:
        near = get_close_matches(site.master, names, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        yield ("master",), f"there is no server '{site.master}'; {hint}there are {', '.join(names)}"
    for key in ("name", "address", "number"):
        yield from _doubles("servers", key, [getattr(server, key) for server in site.servers])
    yield from _doubles("admins", "name", [admin.name for admin in site.admins])
    for at, server in enumerate(site.servers):
        path = ("servers", at, "ssh_port")
        if server.ssh_port in _TAKEN:
            yield path, f"{server.ssh_port} is needed for {_TAKEN[server.ssh_port]}"
        if server.ssh_port in _PASSIVE:
            yield path, f"{_PASSIVE[0]} to {_PASSIVE[-1]} are needed for FTP"
        if server.address.is_multicast or server.address.is_unspecified:
            yield ("servers", at, "address"), f"{server.address} is not the address of a server"


def _unreadable(site: Site) -> Iterator[Problem]:
    """A private key that cannot be logged in with."""
    identity = site.identity_file
    if identity is None:
        return
    try:
        with identity.open("rb") as file:
            start = file.read(_KEY_START)
    except OSError as error:
        yield ("identity",), f"{identity} cannot be read: {error.strerror}"
        return
    if b"PRIVATE KEY" not in start:
        hint = ", it is the public half" if identity.suffix == ".pub" else ""
        yield ("identity",), f"{identity} is no private key of OpenSSH{hint}"


def _doubles(table: str, key: str, values: list[object]) -> Iterator[Problem]:
    for at, value in enumerate(values):
        first = values.index(value)
        if first < at:
            yield (table, at, key), f"{value} is that of {table}[{first}] already"
