"""What a plan consists of: our own data, whatever engine makes it."""

from __future__ import annotations

from dataclasses import dataclass

from standfast.errors import StandfastError

#: What stands in place of a text that nobody may see.
HIDDEN = "(secret: not shown)"


class EngineError(StandfastError):
    """A step failed on a server, or the server was not reached; the message says which."""


@dataclass(frozen=True)
class Change:
    """One thing that is, or has been, made otherwise on one server. ``diff`` is a unified diff
    where it is a file's text. ``about`` says which thing it is: the same in a plan and when it is
    done, however much of it is left to do then. ``parts``: of several things that
    are changed at once, what each is about."""

    server: str
    title: str
    why: str
    diff: str | None = None
    about: str = ""
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """What is not said otherwise is about what its title says."""
        if not self.about:
            object.__setattr__(self, "about", self.title)
