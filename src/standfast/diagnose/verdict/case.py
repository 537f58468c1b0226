"""What is known of one incident: the worker, its unfinished requests, its facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from standfast.journal.format import REQUEST_SLOTS
from standfast.store.evidence import Fact
from standfast.store.tables import DEATH


@dataclass(frozen=True)
class Unfinished:
    """One request that was in flight. ``name`` is its id in reports; the texts are the
    client's and not to be trusted. ``thread`` is what ``threading.get_ident`` gave, ``seq`` the
    number that its worker gave it. ``answered_s`` is after how many seconds the response was
    complete, None where it was not; ``status`` is that of the response, where it is known."""

    name: str
    method: str
    uri: str
    route: str
    begun_ns: int
    thread: int = 0
    client: str = ""
    user_agent: str = ""
    aborted: bool = False
    error: str = ""
    number: int = 0
    seq: int = 0
    kind: str = "http"
    status: int | None = None
    answered_s: float | None = None

    @property
    def slot(self) -> int:
        """The number by which a stack names it (``journal.format.REQUEST_SLOTS``)."""
        return self.seq % REQUEST_SLOTS


class Sibling(NamedTuple):
    """Another worker of the application on the same host, which ended shortly before this one."""

    pid: int
    signal: str | None
    exit_code: int | None
    died_ns: int

    @property
    def end(self) -> str:
        """``SIGSEGV`` or ``exit code 3``."""
        return self.signal or f"exit code {self.exit_code}"


@dataclass(frozen=True)
class Case:
    """One incident. ``errors`` are stacks of requests of this worker that failed shortly before
    its end; ``facts`` are in the order of time. ``died_ns`` is when it died or was found to hang.
    ``recorded`` says that the worker's requests were recorded, each of them; of very many in
    flight ``left_out`` are not in ``requests``. ``siblings`` ended badly
    before this worker, ``beside`` of the others lived on and ``went_along`` ended after it.
    """

    incident_id: int
    died_ns: int
    app: str = ""
    host: str = ""
    pid: int = 0
    server: str = ""
    revision: str = ""
    started_ns: int = 0
    kind: str = DEATH
    signal: str | None = None
    exit_code: int | None = None
    requests: tuple[Unfinished, ...] = ()
    facts: tuple[Fact, ...] = ()
    errors: tuple[str, ...] = ()
    recorded: bool = True
    left_out: int = 0
    siblings: tuple[Sibling, ...] = ()
    beside: int = 0
    went_along: int = 0

    def all(self, *kinds: str) -> list[Fact]:
        """The facts of these kinds."""
        return [fact for fact in self.facts if fact.kind in kinds]

    def listed(self, most: int, culprit: str | None) -> list[Unfinished]:
        """The ``most`` requests that began first, and the culprit wherever it stands."""
        late = (one for one in self.requests[most:] if one.name == culprit)
        return [*self.requests[:most], *late]

    def first(self, *kinds: str) -> Fact | None:
        """The first fact of these kinds, if there is one."""
        return next(iter(self.all(*kinds)), None)
