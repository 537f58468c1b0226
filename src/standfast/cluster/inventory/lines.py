"""On which line of a TOML file a key stands, for whoever has to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

#: A key's place in what the file holds: ("servers", 2, "address").
Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")


class Lines:
    """The lines of one file. The file is valid TOML; keys within inline tables are not told
    apart, their place is that of what they stand in; texts of several lines are not looked for."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        table: Path = ()
        counts: dict[Path, int] = {}
        for number, line in enumerate(text.split("\n"), 1):
            if header := _HEADER.match(line):
                names = _names(header[2])
                table = _within(names, counts)
                if header[1] == "[[":
                    counts[names] = counts.get(names, -1) + 1
                    table = (*_within(names[:-1], counts), names[-1], counts[names])
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*table, *_names(key[1])), number)

    def of(self, path: Path) -> int | None:
        """The line of the key, or of the nearest thing around it; None for the whole file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


def _names(text: str) -> tuple[str, ...]:
    """The parts of a dotted key."""
    try:
        found: Mapping[str, object] = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return (text,)
    names: list[str] = []
    value: object = found
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names)


def _within(names: tuple[str, ...], counts: Mapping[Path, int]) -> Path:
    """The place of a table: those of the lists around it that were begun last."""
    place: Path = ()
    for length in range(1, len(names) + 1):
        place = (*place, names[length - 1])
        if names[:length] in counts:
            place = (*place, counts[names[:length]])
    return place
