"""docs/security.md: each promise names the test that keeps it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (?!promise|---)([^|]+)\|[^|]*\| ([^|]*) \|$", page, re.M)
    promises = [(promise, tests) for promise, tests in rows if promise.strip().endswith(".")]
    assert len(promises) > 15
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)\(", tests, re.M))
    for promise, named in promises:
        names = re.findall(r"`(test_\w+)`", named)
        assert names, promise
        assert set(names) <= there, (promise, set(names) - there)
