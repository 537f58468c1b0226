"""Lines that are too long for a terminal are broken, and nothing of them is lost."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cli.tables import columns_of, print_whole, wrapped

KEY = "[192.0.2.11]:2222,192.0.2.11 ssh-rsa " + "AAAAB3NzaC1yc2EAAAADAQABAAABgQ" * 18


class Terminal(io.StringIO):
    """Something that is shown to a person."""

    def isatty(self) -> bool:
        return True


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "M", "Z"]) | st.just(" ")))
def test_no_piece_is_too_wide_and_together_they_are_the_line(line: str) -> None:
    pieces = wrapped(line, 20, "    ")
    assert all(columns_of(piece) <= 20 for piece in pieces)
    rest = [pieces[0], *(piece.removeprefix("    ") for piece in pieces[1:])]
    assert "".join(rest).replace(" ", "") == line.replace(" ", "")


def test_a_line_is_broken_at_spaces() -> None:
    words = "peers may read the site's files and do nothing else at all"
    assert wrapped(words, 30, "  ") == [
        "peers may read the site's",
        "  files and do nothing else at",
        "  all",
    ]


def test_a_terminal_shows_lines_that_fit_and_a_file_has_them_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        print_whole(f"+{KEY}\nand\x1b[2J\rmore", "      ", out)
    assert file.getvalue().splitlines() == [f"      +{KEY}", "      and\\x1b[2J\\rmore"]
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) == 80
    assert "".join(lines[:-1]).replace(" ", "") == f"+{KEY}".replace(" ", "")
