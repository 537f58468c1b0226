"""What the package does with a foreign text takes time that grows with it, and no faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from standfast.diagnose.verdict import judge
from standfast.record.mask import Masker, has_long_part, may_have_key, truncated
from standfast.store import evidence
from standfast.store.places import place
from standfast.watch.evidence.kernel_log import Parser
from standfast.watch.evidence.log_lines import LogReader
from standfast.watch.folding import fold
from standfast.watch.patterns import Tree, template
from tests.unit.diagnose.verdict import cases as c

SIZE = 6_000
#: Linear work on four times the text takes four times as long, quadratic work sixteen times.
GROWTH, MOST = 4, 9.0
QUICK_S = 0.0015
RUNS = [
    "a", "0", " ", "\n", "/", ".", "-", "=", "%", "%25", "%22", '"', "'", ":/", "@", "&", ";", "?",
    "a0", "a.", "A-", "/a", "eyJ", "eyJ.", "password=", "password", '"a":', "1,", "a@", "{a}",
    "<a>", '  File "', "Traceback (most recent call last):\n", "::", "[1] ", "\\", "é",
]  # fmt: skip


def _tree() -> Tree:
    tree = Tree()
    for depth in range(1, 20):
        tree.add(b"/a" * depth + b"/<x>" * (20 - depth))
    return tree


def _judge(text: str) -> None:
    """What a tenant's process, its log and its errors say, all at once."""
    trace = c.fact(evidence.TRACEBACK, "faulthandler", f"Current thread 0x1:\n{text}", signal=None)
    torn = c.request(aborted=True, error=text)
    judge(c.case(c.ended(1), trace, c.log(text), c.stack(text), requests=(torn,)))


MASKER = Masker()
TREE = _tree()
FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "fold": lambda text: fold(text.encode()),
    "fold of a path": lambda text: fold(b"/" + text.encode()),
    "match": lambda text: TREE.match(text.encode()),
    "template": lambda text: (template(1, "/" + text), template(2, "/" + text)),
    "place": place,
    "mask a URI": lambda text: MASKER.uri("/?" + text),
    "mask a path": lambda text: MASKER.uri("/reset/" + text),
    "is_clean": MASKER.is_clean,
    "mask a text": MASKER.text,
    "mask a host": lambda text: MASKER.addressed(f"\0\0/{text}\0{text}\0\0"),
    "keys": lambda text: (has_long_part(text), may_have_key(text)),
    "truncated": truncated,
    "a server's log": lambda text: LogReader().read(text.encode()),
    "a verdict": _judge,
    "the kernel's log": lambda text: Parser().take(text, 1),
}


def _seconds(function: Callable[[str], Any], text: str, tries: int) -> float:
    best = 1e9
    for _ in range(tries):
        start = time.thread_time()
        function(text)
        best = min(best, time.thread_time() - start)
    return best


def _growth(function: Callable[[str], Any]) -> tuple[float, str]:
    worst = (0.0, "")
    for run in RUNS:
        small = run * (SIZE // len(run))
        if _seconds(function, small, 1) >= QUICK_S:
            once = _seconds(function, small, 3)
            worst = max(worst, (_seconds(function, small * GROWTH, 2) / once, run))
            if worst[0] > MOST:
                break
    return worst


@pytest.mark.parametrize("name", FUNCTIONS)
def test_work_on_a_foreign_text_is_linear(name: str) -> None:
    growth, run = _growth(FUNCTIONS[name])
    assert growth <= MOST, f"{name} of many {run!r}"


def test_quadratic_work_is_caught() -> None:
    growth, _ = _growth(lambda text: [text[at:].split(text[0]) for at in range(0, len(text), 64)])
    assert growth > MOST
