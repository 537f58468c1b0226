"""Every regular expression of the package takes time that grows with the text, and no faster.

Texts come from clients, journals and logs, which are anybody's words. So each compiled pattern is
fed what makes backtracking costly: long runs of the characters that it knows, in ones and twos.
Work is told by CPU time, at two sizes: four times the text may take four times as long, while
quadratic work takes sixteen times.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
from collections import deque
from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import pytest

import standfast

SIZE = 800
GROWTH = 4
#: Between what linear and what quadratic work would take, and well over the noise of a busy host.
MOST = 9.0
#: Less than this, in seconds for SIZE characters, is not worth a second look.
QUICK_S = 0.0003
_ALWAYS = "a0 \n./%=\"'-:\\"
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


def _uses() -> Iterator[tuple[str, Use]]:
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


USES = list(_uses())


def _texts(pattern: re.Pattern[Any], size: int) -> Iterator[Any]:
    source = (
        pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    )
    own = [c for c in dict.fromkeys(source) if c.isprintable() and c not in r"^$*+?{}()[]|\\"]
    known = list(dict.fromkeys([*_ALWAYS, *own[:6]]))
    words = [word for word in re.findall(r"[A-Za-z]{3,}[ :=/]*", source)[:3] if word]
    runs = [*known, *words, *("".join(pair) for pair in permutations(known[:9], 2))]
    for run in runs:
        for before in ("", *words[:1]):
            text = before + run * (size // len(run)) + "\0"
            yield text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")


def _seconds(use: Use, text: Any, tries: int) -> float:
    """The best of so many tries."""
    best = 1e9
    for _ in range(tries):
        start = time.thread_time()
        if use.searched:
            deque(use.pattern.finditer(text), maxlen=0)
        use.pattern.match(text)
        use.pattern.fullmatch(text)
        best = min(best, time.thread_time() - start)
    return best


def _growth(use: Use) -> float:
    """How many times longer four times the text takes, at the worst."""
    worst = 0.0
    texts = zip(_texts(use.pattern, SIZE), _texts(use.pattern, GROWTH * SIZE), strict=True)
    for small, large in texts:
        if _seconds(use, small, 1) >= QUICK_S and (once := _seconds(use, small, 5)) >= QUICK_S:
            worst = max(worst, _seconds(use, large, 3) / once)
            if worst > MOST:
                break
    return worst


def test_the_patterns_of_the_package_are_found() -> None:
    assert len(USES) > 30


@pytest.mark.parametrize(("name", "use"), USES, ids=[name for name, _ in USES])
def test_a_pattern_takes_no_more_than_linear_time(name: str, use: Use) -> None:
    assert _growth(use) <= MOST, f"{name} takes time that grows faster than its text"


@pytest.mark.parametrize(
    "pattern",
    [re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://"), re.compile(r"^\s*File", re.MULTILINE)],
)
def test_a_pattern_that_takes_quadratic_time_is_caught(pattern: re.Pattern[Any]) -> None:
    assert _growth(Use(pattern, searched=True)) > MOST
