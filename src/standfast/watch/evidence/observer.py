"""All sources together, and when each is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from standfast.store.evidence import Fact

from .collector import Collector, Death, Living
from .sources import MOMENTARY

#: When the sources are asked again after a death, in seconds: logs and masters take their time.
ASK_AGAIN_S = (0.5, 2.0, 5.0)
#: Of more deaths than this at once only the last are asked about again.
_MOST_RECENT = 200


@dataclass
class _Recent:
    """A death that will be asked about again."""

    death: Death
    at: float = field(default_factory=time.monotonic)
    asked: int = 0


class Observer:
    """Looks at the living and asks every source about the dead."""

    def __init__(self, collectors: Sequence[Collector], sample_s: float = 0.5) -> None:
        """``sample_s`` is how often workers are looked at, in seconds."""
        self._collectors = list(collectors)
        self._sample_s = sample_s
        self._recent: list[_Recent] = []
        self._look_at = 0.0
        self._known: set[int] = set()

    def look(self, living: Sequence[Living]) -> None:
        """Lets every source look, if it is time or somebody is new."""
        now = time.monotonic()
        known = {worker.worker_id for worker in living}
        if now < self._look_at and known <= self._known:
            return
        if now >= self._look_at:
            # Counted from when this look was due and not from now: it is always a little late.
            self._look_at = max(self._look_at + self._sample_s, now)
        self._known = known
        for collector in self._collectors:
            collector.look(living)

    def facts(self, death: Death) -> list[Fact]:
        """What all sources say of a death now; more may be had from ``late_facts``."""
        self._recent.append(_Recent(death))
        for forgotten in self._recent[:-_MOST_RECENT]:
            self._forget(forgotten)
        return self._ask(death)

    def moment(self, worker: Living) -> list[Fact]:
        """What is to be seen of a worker now, while it lives."""
        now_ns = time.time_ns()
        as_if = Death(worker.worker_id, worker.process, worker.pid, now_ns, now_ns)
        momentary = [one for one in self._collectors if isinstance(one, MOMENTARY)]
        return [fact for collector in momentary for fact in collector.facts(as_if)]

    def late_facts(self) -> list[tuple[Death, list[Fact]]]:
        """What the sources say of recent deaths, where it is time to ask again."""
        now = time.monotonic()
        found = []
        for recent in list(self._recent):
            if now >= recent.at + ASK_AGAIN_S[recent.asked]:
                recent.asked += 1
                found.append((recent.death, self._ask(recent.death)))
                if recent.asked == len(ASK_AGAIN_S):
                    self._forget(recent)
        return found

    def close(self) -> None:
        """Closes all sources."""
        for collector in self._collectors:
            collector.close()

    def _ask(self, death: Death) -> list[Fact]:
        return [fact for collector in self._collectors for fact in collector.facts(death)]

    def _forget(self, recent: _Recent) -> None:
        self._recent.remove(recent)
        for collector in self._collectors:
            collector.forget(recent.death)
