"""Writes all compiled patterns of the package to its output, pickled.

A program of its own, since it imports every module: one of them brings gevent along, by which a
recorder in the same process is guided.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import standfast

_LEFT_OUT = ("standfast.store.migrations", "standfast.record.hook.site", "standfast.__main__")


#: Only ever tried at one place of a text, by a function that does not know them by name.
_AT_ONE_PLACE = {
    "standfast.record.mask._VALUE",
    "standfast.record.mask._JSON_VALUE",
    "standfast.record.mask._WORD_VALUE",
    "standfast.watch.folding._KINDS",
}


class Use(NamedTuple):
    """A pattern, and whether it is searched for, or tried at the start of a text only."""

    pattern: re.Pattern[Any]
    searched: bool


def uses() -> Iterator[tuple[str, Use]]:
    """All compiled patterns that are values of a module, or whose method is one."""
    for found in pkgutil.walk_packages(standfast.__path__, "standfast."):
        if found.name.startswith(_LEFT_OUT):
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            full = f"{found.name}.{name}"
            methods = set(re.findall(rf"\b{name}\.(\w+)", source))
            searched = not methods or not methods.issubset({"match", "fullmatch"})
            for pattern in _patterns_in(value):
                yield full, Use(pattern, searched and full not in _AT_ONE_PLACE)


def _patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    value = getattr(value, "__self__", value)
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _patterns_in(one)
    elif isinstance(value, dict):
        yield from _patterns_in([*value.keys(), *value.values()])


if __name__ == "__main__":
    # By plain names: a class of the program that runs has no other address.
    sys.stdout.buffer.write(pickle.dumps([(name, *use) for name, use in uses()]))
