"""What the ranking says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Suspect:
    """A trait, and the ``probability`` that it killed in at least one of the incidents.

    ``kind`` is route, pair or one of ``traits.KINDS``. ``low`` and ``high`` tell how far
    the probability moves when the incidents are resampled; ``incidents`` is in how many the trait
    was in flight, ``exposure_s`` how long it was in all, ``explains`` the number of incidents it
    is expected to have caused. The text of ``trait`` is the client's and not to be trusted.
    """

    rank: int
    kind: str
    trait: str
    probability: float
    low: float
    high: float
    incidents: int
    exposure_s: float
    explains: float


@dataclass(frozen=True)
class Ranking:
    """What ``rank`` found.

    ``culprits`` has for each incident, in the order given, the probability of each of its
    requests, in the order given; what they lack to 1 is the probability that no one of them did
    it. ``statement`` says in plain words whether the incidents suffice, and ``more`` about how
    many more would; None where waiting for more is no advice.
    """

    suspects: list[Suspect]
    culprits: list[list[float]]
    statement: str
    more: int | None

    def as_json(self) -> list[dict[str, Any]]:
        """The suspects, as ``report suspects --json`` shows them."""
        return [asdict(suspect) for suspect in self.suspects]
