"""The engine that works by way of pyinfra, over SSH."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..remote import Login
from ..steps import Absent, File, Guarded, Step
from . import guard
from .change import Change, EngineError
from .doing import do, tell
from .looking import look
from .session import Session


class PyinfraEngine:
    """One server. ``after`` is the way in that shall be there once all is done."""

    def __init__(self, login: Login, after: Login) -> None:
        """Raises EngineError where the server does not let one in."""
        self._login = login
        self._after = after
        self._session = Session(login)

    def look(self, steps: Sequence[Step]) -> list[Change]:
        """What would be changed; nothing is."""
        return [change for step in steps if (change := look(self._session, step))]

    def carry_out(self, steps: Sequence[Step], say: Callable[[Change], None]) -> list[Change]:
        """Does what is to be done, in order."""
        done: list[Change] = []
        last = _last_to_tell(steps)
        for number, step in enumerate(steps):
            change = look(self._session, step)
            if change is not None:
                say(change)
                self._do(step, change)
                done.append(change)
            for unit, reload in last.get(number, ()):
                self._tell(unit, reload)
        return done

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    def _do(self, step: Step, change: Change) -> None:
        try:
            if isinstance(step, Guarded):
                self._guarded(step)
            else:
                do(self._session, step)
        except EngineError as error:
            raise EngineError(f"{error} (while: {change.title})") from None
        # Who is to be told of it is told later.
        alone = replace(step, tells=None) if isinstance(step, File | Absent) else step
        if look(self._session, alone) is not None:
            raise EngineError(f"{self._session.name}: {change.title}: done, and it is not so")

    def _guarded(self, step: Guarded) -> None:
        guard.carry_out(self._session, step, self._login, self._after)
        # What comes next goes by the way in that was just proven.
        self._session.close()
        self._login = self._after
        self._session = Session(self._login)

    def _tell(self, unit: str, reload: bool) -> None:
        from .looking import pending

        if self._session.tries(f"test -e {pending(unit)}")[0]:
            tell(self._session, unit, reload)


def _last_to_tell(steps: Sequence[Step]) -> dict[int, list[tuple[str, bool]]]:
    """After which step which units are told: the last that has something to tell them."""
    last: dict[str, tuple[int, bool]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, File | Absent) and step.tells:
            reload = step.reload and last.get(step.tells, (0, True))[1]
            last[step.tells] = (number, reload)
    found: dict[int, list[tuple[str, bool]]] = {}
    for unit, (number, reload) in last.items():
        found.setdefault(number, []).append((unit, reload))
    return found
