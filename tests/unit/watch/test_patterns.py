"""A framework's own patterns say best what varies in a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.journal.format import BRACES, BRACKETS, ROUTE
from standfast.store.tables import ordinary_request, route
from standfast.watch.patterns import Tree, template
from tests.unit.watch.journals import House

SIMPLE = [
    (BRACKETS, "/blog/<slug:slug>", "/blog/<slug>"),
    (BRACKETS, "/blog/<title>/edit", "/blog/<title>/edit"),
    (BRACKETS, "/order/<int:number>", "/order/{int}"),
    (BRACKETS, "/order/<int(min=1):number>", "/order/{int}"),
    (BRACKETS, "/file/<uuid:file>/", "/file/{uuid}/"),
    (BRACKETS, "/static/<path:filename>", "/static/<filename>…"),
    (BRACES, "/blog/{slug}", "/blog/<slug>"),
    (BRACES, "/order/{number:int}", "/order/{int}"),
    (BRACES, "/static/{rest:path}", "/static/<rest>…"),
    (BRACKETS, "/about", "/about"),
]
NOT_SIMPLE = [
    (BRACKETS, "/<a>-<b>"),
    (BRACKETS, "/x<a>"),
    (BRACKETS, "/<path:a>/b"),
    (BRACKETS, "no-slash"),
    (BRACKETS, "/<regex('(a+)+$'):x>"),
    (BRACES, "/{a}.{b}"),
    (BRACES, "/<a>"),
    (BRACKETS, "/{a}"),
    (BRACKETS, "/" + "x" * 300),
    (BRACKETS, "/x" * 100),
    (BRACKETS, "/a\0b/<c>"),
    (7, "/blog/<slug>"),
]


@pytest.mark.parametrize(("syntax", "pattern", "expected"), SIMPLE)
def test_a_simple_pattern_becomes_a_route(syntax: int, pattern: str, expected: str) -> None:
    assert template(syntax, pattern) == expected


@pytest.mark.parametrize(("syntax", "pattern"), NOT_SIMPLE)
def test_what_is_not_simple_is_left_out(syntax: int, pattern: str) -> None:
    assert template(syntax, pattern) is None


@given(st.integers(0, 3), st.text(max_size=80).map(lambda text: "/" + text))
def test_no_pattern_whatever_is_in_it_does_harm(syntax: int, pattern: str) -> None:
    found = template(syntax, pattern)
    if found is not None:
        tree = Tree()
        tree.add(found.encode("utf-8", "replace"))
        tree.match(pattern.encode("utf-8", "replace"))


def tree_of(*routes: str) -> Tree:
    tree = Tree()
    for one in routes:
        tree.add(one.encode())
    return tree


def test_text_goes_before_a_parameter_and_a_number_before_a_word() -> None:
    tree = tree_of("/blog/<slug>", "/blog/new", "/blog/{int}", "/blog/<slug>/edit", "/s/<rest>…")
    for path, expected in {
        "/blog/new": "/blog/new",
        "/blog/17": "/blog/{int}",
        "/blog/news": "/blog/<slug>",
        "/blog/17/edit": "/blog/<slug>/edit",
        "/blog/new/edit": "/blog/<slug>/edit",
        "/s/a/b/c.js": "/s/<rest>…",
        "/s/": "",
        "/blog": "",
        "/blog/": "",
        "/blog/a/b": "",
        "": "",
    }.items():
        assert tree.match(path.encode()) == expected.encode(), path


def test_patterns_made_to_be_slow_are_not() -> None:
    """With backtracking this would take 2 to the power of 40 steps."""
    tree = Tree()
    for depth in range(1, 20):
        tree.add(b"/a" * depth + b"/<x>" * (20 - depth) + b"/end")
        tree.add(b"/<x>" * depth + b"/a" * (20 - depth) + b"/end")
    assert tree.match(b"/a" * 5000) == b""


def test_paths_are_counted_under_the_pattern_that_the_framework_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    journal = house.journal()
    for pattern in (b"/blog/<slug>", b"/blog/new", b"/static/<path:name>", b"/x<broken"):
        journal.append(ROUTE, b"\x01\x00" + pattern)
    journal.append(ROUTE, b"\x01")
    for path in ("/blog/first", "/blog/second", "/blog/new", "/static/a/b.js", "/static/c.js"):
        journal.request(path)
    house.drain()
    journal.request("/blog/third")
    house.drain()
    house.restart()
    journal.request("/blog/fourth")
    journal.request("/blog/new")
    house.drain()
    templates = {row.id: row.template for row in house.rows(route)}
    counted = [templates[row.route_id] for row in house.rows(ordinary_request)]
    assert counted == [
        "/blog/<slug>",
        "/blog/<slug>",
        "/blog/new",
        "/static/<name>…",
        "/static/<name>…",
        "/blog/<slug>",
        "/blog/<slug>",
        "/blog/new",
    ]
