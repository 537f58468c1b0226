"""Text for people: what comes from journals made harmless, and cut to what fits."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

from standfast.diagnose.words import duration, harmless, moment

__all__ = [
    "Column",
    "columns_of",
    "crop",
    "duration",
    "harmless",
    "line_width",
    "moment",
    "print_pairs",
    "print_table",
    "print_whole",
    "print_words",
    "wrapped",
]

CROP = "…"


def columns_of(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def crop(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns; where it is too long its middle goes."""
    if columns_of(text) <= width:
        return text
    from rich.cells import set_cell_size

    head = (width - 1) * 2 // 3
    tail = set_cell_size(text[::-1][:width], width - 1 - head)[::-1]
    return set_cell_size(text[:width], head) + CROP + tail


class Column(NamedTuple):
    """A column of a table. One that is ``flexible`` takes what the others leave of the line and
    is cut at its end; numbers stand to the right."""

    title: str
    flexible: bool = False
    number: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table that fits the line; what its cells say is made harmless."""
    # Loading it takes as long as all the rest of a report, and JSON needs none.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[harmless(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    for at, column in enumerate(columns):
        widest = max([columns_of(column.title), *[columns_of(row[at]) for row in cells]])
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if column.flexible else None,
            width=None if column.flexible else widest,
        )
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(width=line_width(), color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_words(text: str) -> None:
    """Prints running text in lines that fit, made harmless."""
    from rich.console import Console
    from rich.text import Text

    Console(width=line_width(), color_system=None).print(Text(harmless(text)))


def print_whole(text: str, indent: str = "", out: TextIO | None = None) -> None:
    """Prints text of any length, made harmless, each of its lines behind ``indent``: in lines that
    fit where a terminal shows it, else as it is, for programs and files."""
    out = out or sys.stdout
    for line in text.rstrip("\n").split("\n"):
        shown = indent + harmless(line)
        lines = wrapped(shown, line_width(), indent + "  ") if out.isatty() else [shown]
        print("\n".join(lines), file=out)


def wrapped(line: str, width: int, indent: str = "") -> list[str]:
    """A line in pieces of at most ``width`` columns, those after the first behind ``indent``:
    broken at spaces, and where there is none for long in the middle of a word."""
    room = width - len(indent)
    if columns_of(line) <= width:
        return [line]
    if not line.isascii():
        from rich.cells import chop_cells

        first, *rest = chop_cells(line, room)
        return [first, *(indent + piece for piece in rest)]
    pieces, at = [], 0
    while len(line) - at > (most := room if at else width):
        space = line.rfind(" ", at + most // 2, at + most + 1)
        end = space if space > 0 else at + most
        pieces.append(line[at:end])
        at = end + (space > 0)
    pieces.append(line[at:])
    return [pieces[0], *(indent + piece for piece in pieces[1:])]


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints two columns, the second as running text; both made harmless."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for first, second in pairs:
        table.add_row(Text(harmless(first)), Text(harmless(second)))
    console = Console(width=line_width(), color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def line_width() -> int:
    """How wide a line may be: the terminal's width, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)
