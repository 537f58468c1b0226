"""README, the page on the lab and what ``cluster init`` writes and says tell the same story."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from standfast.cli import cluster, lab
from standfast.cli.main import main
from standfast.cluster.inventory import Site, load_site
from standfast.lab.plan import inner_address6

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text().partition("## One site on several servers")[2]
PAGE = (ROOT / "docs/lab.md").read_text()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """What ``cluster init`` writes."""
    monkeypatch.chdir(tmp_path)
    assert main(["cluster", "init"]) == 0
    return load_site("site.toml")


def commands(text: str) -> list[str]:
    """The commands of ``lab`` and ``cluster`` in a text, without their comments."""
    found = re.findall(r"(?:sudo )?standfast (?:lab|cluster) [a-z][a-z ]*[a-z]", text)
    return [one.strip() for one in found]


def console(text: str) -> list[str]:
    """Those of the first block of commands that begins a site."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return commands(next(block for block in blocks if "cluster init" in block))


def test_the_readme_and_the_page_on_the_lab_begin_alike() -> None:
    assert console(README)[:5] == console(PAGE)[:5]
    for text in (README, PAGE):
        assert console(text)[-1] == "sudo standfast lab down"


def test_every_command_there_is_one_and_the_lab_alone_needs_root() -> None:
    for text in (README, PAGE):
        for words in console(text):
            tool, kind, action, *_ = words.removeprefix("sudo ").split()
            known = lab._ACTIONS if kind == "lab" else cluster.ACTIONS
            assert tool == "standfast" and action in known
            assert words.startswith("sudo ") == (kind == "lab")


def test_init_says_what_the_readme_says(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    Path("site.toml").unlink()
    Path("site.key").unlink(missing_ok=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["cluster", "init"]) == 0
    said = commands(capsys.readouterr().out)
    assert said == console(README)[1 : 1 + len(said)]
    assert commands(Path("site.toml").read_text()) == [
        one for one in said if "plan" not in one and "status" not in one
    ]


def test_the_screen_in_the_readme_is_of_the_site_that_init_writes(site: Site) -> None:
    head = f"{site.name}: {len(site.servers)} servers, {site.database.topology}, "
    assert head in README
    rows = README[README.index(head) :].splitlines()[3:6]
    assert [row.split("  ")[0] for row in rows] == [server.name for server in site.servers]
    for server, row in zip(site.servers, rows, strict=True):
        assert server.location in row
        assert inner_address6(str(server.address)) in PAGE
