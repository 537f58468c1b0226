"""What is being done just now: a line that changes on a terminal, else nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from standfast.diagnose.words import harmless


@contextmanager
def shown() -> Iterator[Callable[[str], None]]:
    """Gives a function that is told what is being done."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda words: None
        return
    with console.status("") as status:
        yield lambda words: status.update(Text(harmless(words)))
