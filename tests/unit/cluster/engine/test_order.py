"""In which order things are done, and how a plan is shown: what needs no server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from standfast.cli.cluster import plan
from standfast.cluster import building, learning
from standfast.cluster.database import options
from standfast.cluster.engine import HIDDEN, Change
from standfast.cluster.engine.looking import _diff
from standfast.cluster.engine.pyinfra_engine import _last_to_tell
from standfast.cluster.inventory import Site
from standfast.cluster.steps import Absent, File, Step, Unit
from standfast.errors import StandfastError

WHY = "the test wants it"
BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIFlGmLsMYVVnjeqC9dVDWaBFxRkYzO4nRgQFkjNvZgSJ"


def tells(path: str, unit: str | None, reload: bool = False) -> File:
    return File(path, "text\n", WHY, tells=unit, reload=reload)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), {}),
        ((tells("/a", None), Unit("x", WHY)), {}),
        ((tells("/a", "x"), tells("/b", "x"), Unit("x", WHY)), {1: [("x", False)]}),
        ((tells("/a", "x", True), Absent("/b", WHY, "x", True)), {1: [("x", True)]}),
        # One that needs a restart is not helped by another's reload.
        ((tells("/a", "x"), tells("/b", "x", True)), {1: [("x", False)]}),
        ((tells("/a", "x", True), tells("/b", "y"), tells("/c", "x", True)),
         {1: [("y", False)], 2: [("x", True)]}),
    ],
)  # fmt: skip
def test_a_unit_is_told_after_the_last_file_that_tells_it(
    steps: tuple[Step, ...], told: dict[int, list[tuple[str, bool]]]
) -> None:
    assert _last_to_tell(steps) == told


def test_a_diff_is_a_unified_one_and_hides_what_is_secret() -> None:
    step = File("/etc/a", "one\nthree\n", WHY)
    assert _diff(step, ["one", "two"]).splitlines() == [
        "--- /etc/a", "+++ /etc/a", "@@ -1,2 +1,2 @@", " one", "-two", "+three",
    ]  # fmt: skip
    assert _diff(File("/etc/a", "one\nthree\n", WHY, secret=True), ["one", "two"]) == HIDDEN


def a_site(*names: str) -> Site:
    servers = [
        {"name": name, "address": f"192.0.2.{number}", "location": "here"}
        for number, name in enumerate(names, 1)
    ]
    return Site.model_validate(
        {
            "name": "shop",
            "domain": "shop.example",
            "master": names[0],
            "admins": [
                {"name": "ann", "keys": [f"ssh-ed25519 {BLOB}"], "addresses": ["192.0.2.0/24"]}
            ],
            "servers": servers,
        }
    )


def test_the_master_is_taken_last() -> None:
    site = a_site("ie", "nl", "us")
    assert [server.name for server in building.in_order(site)] == ["nl", "us", "ie"]


def test_a_server_says_the_number_that_its_options_gave_it(tmp_path: Path) -> None:
    site = a_site("ie", "nl", "us")
    file = tmp_path / "options"
    file.write_text(options.options(site, site.server("us"), 2**30))
    script = learning._LEARN.replace(options.PATH, str(file))
    said = subprocess.check_output(["sh", "-c", script], text=True).splitlines()
    assert [line for line in said if line.startswith("number")] == ["number 3"]


@pytest.mark.parametrize("program", ["mariadbd", "apache2"])
def test_a_server_that_serves_anything_is_not_new(tmp_path: Path, program: str) -> None:
    (tmp_path / program).write_text("#!/bin/sh\n")
    (tmp_path / program).chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sed", "cat"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    for path, serves in ((f"{tmp_path}:{tools}", True), (str(tools), False)):
        said = subprocess.check_output(
            ["/bin/sh", "-c", learning._LEARN], text=True, env={"PATH": path}
        )
        assert ("serves something" in said) == serves


def test_a_server_taken_out_of_the_list_gives_its_number_to_no_other() -> None:
    before = {"ie": 1, "nl": 2, "us": 3}
    learning._unchanged(a_site("ie", "nl", "us", "de"), before)
    with pytest.raises(StandfastError, match=r"us is number 3, the file makes it 2\n") as refused:
        learning._unchanged(a_site("ie", "us"), before)
    assert "write down `number` for each server" in str(refused.value)


def test_a_plan_shows_what_why_and_how_and_lets_nothing_act_on_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = [
        Change("nl", "file /etc/a", "it is wanted", "-old\n+\x1b[31mnew"),
        Change("nl", "sl installed", "it goes by"),
        Change("", "ie replicates from nl", "the databases are one"),
    ]
    plan.show(changes)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.index("\nnl\n") < shown.index("file /etc/a") < shown.index("it is wanted")
    assert shown.count("\nnl\n") == 1
    assert shown.index("sl installed") < shown.index("the databases\n") < shown.index("ie repl")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["nl"], "1 change on 1 server"), (["nl", "nl", "ie"], "3 changes on 2 servers")],
)
def test_changes_are_counted(names: list[str], words: str) -> None:
    assert plan.count([Change(name, "title", WHY) for name in names]) == words
