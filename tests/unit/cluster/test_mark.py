"""A server that is another site's is known by its mark, and what to do is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standfast.cluster import learning
from standfast.cluster.provision import mark
from standfast.cluster.steps import Directory, File
from tests.unit.cluster.database.sites import site

SITE = site("mesh", 3)
OURS, OTHERS = 32 * "a", 32 * "b"


@pytest.mark.parametrize(
    "marks",
    [{}, {"one": ""}, {"one": mark.text(SITE, OURS)}, {"one": f"a-name-of-before {OURS}"}],
    ids=["nobody answers", "new", "ours", "renamed"],
)
def test_a_server_without_a_mark_or_with_ours_is_ours(marks: dict[str, str]) -> None:
    assert mark.foreign(SITE, OURS, marks) is None


def test_another_sites_server_is_named_with_that_site() -> None:
    said = mark.foreign(SITE, OURS, {"one": mark.text(SITE, OURS), "two": f"club {OTHERS}"})
    assert said is not None
    assert said.startswith("two belongs to the site club: /etc/standfast/site there says so.\n")
    assert "remove /etc/standfast/site there" in said and said.endswith("Nothing was done.")


def test_a_site_of_this_name_with_other_secrets_is_another() -> None:
    said = mark.foreign(SITE, OURS, {"one": mark.text(SITE, OTHERS)})
    assert said is not None
    assert f"one was set up as shop with other secrets than those in {SITE.secrets}" in said
    assert "Copy that folder" in said


@pytest.mark.parametrize("odd", ["\x1b[31m x", "only-a-name", "é" * 90])
def test_a_mark_that_is_none_is_somebodys_and_does_nothing_to_the_terminal(odd: str) -> None:
    said = mark.foreign(SITE, OURS, {"one": odd})
    assert said is not None and "\x1b" not in said


def test_the_mark_is_told_as_it_was_written(tmp_path: Path) -> None:
    folder, file = mark.steps(SITE, OURS)
    assert isinstance(folder, Directory) and isinstance(file, File)
    there = tmp_path / "site"
    script = learning._LEARN.replace(mark.PATH, str(there))
    assert "\nsite" not in subprocess.check_output(["sh", "-c", script], text=True)
    there.write_text(file.text)
    said = subprocess.check_output(["sh", "-c", script], text=True).splitlines()
    assert [line for line in said if line.startswith("site ")] == [f"site shop {OURS}"]
