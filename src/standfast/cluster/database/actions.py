"""The steps by which replication is put right, as data with words for whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Point:
    """``replica`` replicates from ``origin``, from where it is by GTID."""

    replica: str
    origin: str
    ignored: frozenset[int]
    why: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.replica}: replicates from {self.origin} ({self.why})"


@dataclass(frozen=True)
class Restart:
    """The link is stopped and started."""

    replica: str
    origin: str
    why: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.replica}: the link from {self.origin} is started again ({self.why})"


@dataclass(frozen=True)
class PassHole:
    """The link is started where its origin lacks the very transaction at which the replica is, and
    has later ones."""

    replica: str
    origin: str

    def __str__(self) -> str:
        return (
            f"{self.replica}: the link from {self.origin} is started past a hole in the log there"
            " (gtid_strict_mode is off until it runs)"
        )


@dataclass(frozen=True)
class Strict:
    """The server refuses transactions out of order again."""

    server: str

    def __str__(self) -> str:
        return f"{self.server}: gtid_strict_mode is on again"


@dataclass(frozen=True)
class Advance:
    """The replica asks nobody for its own writes again: in its own domain it is where its own log
    is."""

    replica: str

    def __str__(self) -> str:
        return f"{self.replica}: no longer asks others for its own writes"


@dataclass(frozen=True)
class Drop:
    """The link of this name goes; others carry what it did."""

    replica: str
    name: str

    def __str__(self) -> str:
        return f"{self.replica}: no longer replicates from {self.name or 'an unnamed server'}"


@dataclass(frozen=True)
class Copy:
    """The whole of the source's data goes to the target, which is empty."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.target}: gets a copy of the data of {self.source}"


@dataclass(frozen=True)
class CreateDatabase:
    """A database of the inventory is made on this server, and so on all."""

    server: str
    name: str

    def __str__(self) -> str:
        return f"{self.server}: makes the database {self.name}, which goes to all"


@dataclass(frozen=True)
class Retire:
    """The server forgets the domain of one that has left."""

    server: str
    domain: int

    def __str__(self) -> str:
        return f"{self.server}: forgets number {self.domain}, which has left"


@dataclass(frozen=True)
class Halt:
    """The server takes no writes any more: no other server would get them."""

    server: str

    def __str__(self) -> str:
        return f"{self.server}: takes no writes any more, as its log has gone back"


@dataclass(frozen=True)
class Wait:
    """There is nothing to do but to see whether it comes right by itself."""

    replica: str
    origin: str
    why: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.replica}: waits for {self.origin} ({self.why})"


@dataclass(frozen=True)
class NeedsPerson:
    """No step would be right; the words say why, and what to do."""

    server: str
    words: str

    def __str__(self) -> str:
        return f"{self.server}: {self.words}"


HealingStep = (
    Point
    | Restart
    | PassHole
    | Strict
    | Advance
    | Drop
    | Copy
    | CreateDatabase
    | Retire
    | Halt
    | Wait
    | NeedsPerson
)
