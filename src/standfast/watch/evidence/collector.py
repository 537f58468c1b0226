"""What a source of evidence has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from standfast.store.evidence import Fact
from standfast.watch.liveness import Process


class Living(NamedTuple):
    """A worker that lives; ``pid`` is the number by which it goes here."""

    worker_id: int
    process: Process
    pid: int


class Death(NamedTuple):
    """A worker that has died, between ``alive_ns`` and ``died_ns`` (nanoseconds of the epoch).

    ``pid`` is the number by which it went here, None where this watcher never saw it alive.
    ``alive_ns`` is the last moment at which it is known to have lived: of its last record, or
    of the watcher's last look. ``is_proven`` says that this process was seen alive as its owner's:
    else its number is the word of whoever wrote the journal.
    """

    worker_id: int
    process: Process
    pid: int | None
    alive_ns: int
    died_ns: int
    is_proven: bool = True


class Collector(Protocol):
    """One source. No method raises: a source that cannot be read has nothing to say."""

    def look(self, living: Sequence[Living]) -> None:
        """Notes what must be known before a death; called about every ``sample_s``."""

    def facts(self, death: Death) -> list[Fact]:
        """What the source says of one death. Called again later: the same fact may come twice,
        then with the same kind, source and ``at_ns``."""

    def forget(self, death: Death) -> None:
        """Nothing more will be asked of this one."""

    def close(self) -> None:
        """Lets go of all files."""
