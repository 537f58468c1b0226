"""What is being done just now: a line that changes on a terminal, else nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from standfast.diagnose.words import harmless


class Tell(Protocol):
    """Is told what is being done."""

    def __call__(self, words: str) -> None:
        """Shows these words until the next."""

    def pause(self) -> None:
        """Shows nothing until the next words: a question is asked."""


class _Silent:
    def __call__(self, words: str) -> None:
        pass

    def pause(self) -> None:
        pass


@contextmanager
def shown() -> Iterator[Tell]:
    """Gives a function that is told what is being done."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Silent()
        return
    with console.status("") as status:

        class _Shown(_Silent):
            def __call__(self, words: str) -> None:
                status.update(Text(harmless(words)))
                status.start()

            def pause(self) -> None:
                status.stop()

        yield _Shown()
