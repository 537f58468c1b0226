"""Text for people: what comes from journals made harmless, and cut to what fits."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
    "print_words",
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
