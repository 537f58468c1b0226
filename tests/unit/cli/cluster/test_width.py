"""What the commands print fits a terminal of 80 columns, and is whole in a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from rich.cells import cell_len

from standfast.cli.cluster import plan
from standfast.cli.main import main
from standfast.cluster.building import Plan
from standfast.cluster.engine import Change

NAMES = tuple(f"a-server-with-a-long-name-{number}" for number in range(10))
LONG = "ssh-rsa " + "AAAAB3NzaC1yc2EAAAADAQABAAABgQ" * 18
CHANGES = tuple(
    Change(
        name, f"files: {', '.join(NAMES)}", "because " * 20, f"--- /etc/x\n+{LONG}\n-日本語{LONG}"
    )
    for name in NAMES
)


class Terminal(io.StringIO):
    """Something that is shown to a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[Terminal, io.StringIO])
def out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal, or a file."""
    monkeypatch.setenv("COLUMNS", "80")
    stream: io.StringIO = request.param()
    return stream


@contextmanager
def written_to(out: io.StringIO) -> Iterator[None]:
    with redirect_stdout(out), redirect_stderr(out):
        yield


def fits(out: io.StringIO, whole: str) -> bool:
    """Whether a terminal's lines are no wider than it, and a file has these words on one line."""
    lines = out.getvalue().splitlines()
    if out.isatty():
        return max(map(cell_len, lines)) <= 80 and "".join(whole.split()) in "".join(
            "".join(lines).split()
        )
    return any(whole in line for line in lines)


def test_a_plan_is_shown_whole(out: io.StringIO) -> None:
    with written_to(out):
        plan.show(CHANGES)
    for words in (f"+{LONG}", f"-日本語{LONG}", CHANGES[0].title, CHANGES[0].why.strip()):
        assert fits(out, words)


def test_who_is_left_out_is_shown_whole(out: io.StringIO) -> None:
    why = f"{NAMES[0]} was not reached: {'no route to host, ' * 9}"
    with written_to(out):
        assert plan.who_is_away({NAMES[0]: why}) == 1
    assert fits(out, f"Left out: {why.strip()}")


def test_what_comes_later_is_shown_whole(out: io.StringIO) -> None:
    with written_to(out):
        plan.sum_up(Plan(CHANGES, NAMES), "standfast cluster apply")
    assert fits(out, f"once {', '.join(NAMES[:-1])} and {NAMES[-1]} can be asked.")
    assert fits(out, "Do it: standfast cluster apply")


def test_an_error_is_shown_whole_and_harmless(out: io.StringIO) -> None:
    with written_to(out):
        assert main(["cluster", "check", "-f", f"/nowhere/{'x' * 200}\x1b[2J.toml"]) == 2
    assert fits(out, f"standfast: /nowhere/{'x' * 200}\\x1b[2J.toml: there is no such file;")
