"""The route patterns that an application's framework told, and which of them a path fits.

Of a pattern only the simplest is taken: parts that are text, and parts that are one parameter. What
has more in it (a regular expression, two parameters in one part) is left out, and nothing of it is
ever compiled: a pattern is the application's word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from standfast.journal.format import BRACES, BRACKETS

#: So many parts and characters a pattern has at most.
_PARTS = 40
_LONGEST = 200
#: So many places of the tree are looked at for each part of a path.
_BREADTH = 16
_BRACKETS = re.compile(r"<(?:([a-z_]+)(?:\([^()<>/]{0,60}\))?:)?([A-Za-z_][A-Za-z0-9_]{0,60})>")
_BRACES = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,60})(?::([a-z_]+))?\}")
_INT = re.compile(rb"[0-9]+")
_UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
#: What parameters are called by their converters; the others by their names.
_TYPES = {"int": "{int}", "uuid": "{uuid}"}


def template(syntax: int, pattern: str) -> str | None:
    """The route of a pattern, ``/blog/<slug>`` or ``/order/{int}``, or None where it is not simple.

    Whatever takes the rest of the path is ``<path>…``.
    """
    is_short = len(pattern) <= _LONGEST and pattern.count("/") <= _PARTS
    if not pattern.startswith("/") or not is_short or not pattern.isprintable():
        return None
    parts = pattern.split("/")
    for at, part in enumerate(parts):
        if syntax == BRACKETS:
            match = _BRACKETS.fullmatch(part)
            converter, name = match.groups() if match else (None, None)
        elif syntax == BRACES:
            match = _BRACES.fullmatch(part)
            name, converter = match.groups() if match else (None, None)
        else:
            return None
        if match is None:
            if set("<>{}") & set(part):
                return None
        elif converter == "path":
            if at != len(parts) - 1:
                return None
            parts[at] = f"<{name}>…"
        else:
            parts[at] = _TYPES.get(converter or "", f"<{name}>")
    return "/".join(parts)


@dataclass
class _Node:
    children: dict[bytes, _Node] = field(default_factory=dict)
    #: What takes any rest of a path, and the route that ends here.
    rest: bytes = b""
    route: bytes = b""


class Tree:
    """The routes of one application, to be asked for the pattern that a path fits."""

    def __init__(self) -> None:
        self._root = _Node()
        self._has_patterns = False

    def add(self, route: bytes) -> None:
        """Enters a route: one that ``template`` made, or any other, which goes before those."""
        if route.count(b"/") > _PARTS:
            return
        self._has_patterns = self._has_patterns or b"/<" in route
        node = self._root
        *parts, last = route.split(b"/")
        for part in parts:
            node = node.children.setdefault(part, _Node())
        if last.endswith("…".encode()):
            node.rest = route
        else:
            node.children.setdefault(last, _Node()).route = route

    def match(self, path: bytes) -> bytes:
        """The route of a path, without its query; empty where none fits.

        Text goes before a typed parameter, and that before any other; a bounded number of places is
        looked at, so that this takes time that grows with the path and no faster.
        """
        if not self._has_patterns:
            return b""
        places, rest = [self._root], b""
        parts = path.split(b"/")
        for at, part in enumerate(parts):
            following: list[_Node] = []
            for place in places:
                if at and place.rest and part:
                    rest = place.rest
                following += _fitting(place, part)
            places = following[:_BREADTH]
            if not places:
                return rest
        return next((place.route for place in places if place.route), rest)


def _fitting(place: _Node, part: bytes) -> list[_Node]:
    children = place.children
    found = [children[part]] if part in children else []
    if part and len(children) > len(found):
        if _INT.fullmatch(part) and b"{int}" in children:
            found.append(children[b"{int}"])
        if _UUID.fullmatch(part) and b"{uuid}" in children:
            found.append(children[b"{uuid}"])
        found += [node for name, node in children.items() if name.startswith(b"<")][:_BREADTH]
    return found
