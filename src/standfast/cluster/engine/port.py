"""What the rest of the house asks of an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..remote import Login
from ..steps import Step
from .change import Change


class Engine(Protocol):
    """Looks at one server, and carries steps out on it."""

    def look(self, steps: Sequence[Step]) -> list[Change]:
        """What would be changed; nothing is. Raises EngineError."""

    def carry_out(self, steps: Sequence[Step], say: Callable[[Change], None]) -> list[Change]:
        """Does what is to be done, in order, and returns it; ``say`` is told before each change.

        Raises EngineError at the first that fails: what was done before stays, and the same steps
        again finish the job.
        """

    def close(self) -> None:
        """Ends the connection."""


#: Opens an engine: by one way in, for the admin's way in that shall be there afterwards.
OpenEngine = Callable[[Login, Login], Engine]
