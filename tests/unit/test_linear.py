"""Every regular expression of the package takes time that grows with the text, and no faster.

Texts come from clients, journals and logs, which are anybody's words. So each compiled pattern is
fed what makes backtracking costly: long runs of the characters that it knows, in ones and twos.
Work is told by CPU time, at two sizes: four times the text may take four times as long, while
quadratic work takes sixteen times.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.unit.package_patterns import Use

SIZE = 800
GROWTH = 4
#: Between what linear and what quadratic work would take, and well over the noise of a busy host.
MOST = 9.0
#: Less than this, in seconds for SIZE characters, is not worth a second look.
QUICK_S = 0.0003
_ALWAYS = "a0 \n./%=\"'-:\\"


def _uses() -> Iterator[tuple[str, Use]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.package_patterns"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = set()
    for name, pattern, searched in pickle.loads(done.stdout):
        if (pattern, searched) not in seen:  # one that another module imports
            seen.add((pattern, searched))
            yield name, Use(pattern, searched)


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
