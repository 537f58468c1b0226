"""Who may change the servers: from what is seen of their leases to what is to be done.

Nothing is asked or changed here. A server has at most one lease, which bears the token of one run
and is replaced only where it still is what was seen (``place.py``). The invariants:

- A run changes a server only while that server's lease bears its token.
- A token takes the place of nothing, of a lease that has expired by the server's own clock, or of
  one whose breaking was asked for; of no other.
- A run begins once it holds the leases of all servers that answer; those that do not answer then
  it leaves alone to its end. So no two runs ever change one server at a time.
- Of several runs that begin together, and each of which has got some of the leases, the one with
  the lowest token waits for the rest, and the others give back what they have: one of them goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Lease:
    """The lease of a server as it was read there. ``owner`` is user@host, ``command`` what runs;
    ``age_s`` and ``left_s`` are seconds by the server's own clock, ``text`` is the line itself."""

    token: str
    owner: str
    command: str
    age_s: int
    left_s: int
    text: str

    @property
    def lives(self) -> bool:
        """It has not expired."""
        return self.left_s > 0


@dataclass(frozen=True)
class Take:
    """The leases of these servers are taken, in place of what was seen there."""

    servers: tuple[str, ...]


@dataclass(frozen=True)
class Go:
    """All leases are held."""


@dataclass(frozen=True)
class Wait:
    """Whoever has the leases of these servers is about to give them back."""

    servers: tuple[str, ...]


@dataclass(frozen=True)
class Refuse:
    """Others hold these; what was taken is given back."""

    holders: Mapping[str, Lease]


def decide(
    token: str, seen: Mapping[str, Lease | None], *, breaks: bool = False, patient: bool = True
) -> Take | Go | Wait | Refuse:
    """What a run with this token does next.

    ``seen`` has the lease of each server that answers, None where there is none. ``breaks``: the
    leases of others are broken. ``patient``: there is still time to wait.
    """
    mine = {name for name, lease in seen.items() if lease is not None and lease.token == token}
    others = {
        name: lease
        for name, lease in seen.items()
        if lease is not None and name not in mine and lease.lives
    }
    if others and not breaks:
        if mine and patient and token < min(lease.token for lease in others.values()):
            return Wait(tuple(others))
        return Refuse(others)
    wanted = tuple(name for name in seen if name not in mine)
    return Take(wanted) if wanted else Go()


@dataclass
class Taking:
    """A run on its way to its leases: what it has seen, and how often it still waits. It begins
    with none seen anywhere, as is nearly always so: then one round trip takes them all."""

    token: str
    seen: dict[str, Lease | None]
    breaks: bool = False
    waits: int = 10

    def next(self) -> Take | Go | Wait | Refuse:
        """What is done next. Those that are waited for are tried again as if they had none."""
        step = decide(self.token, self.seen, breaks=self.breaks, patient=self.waits > 0)
        if isinstance(step, Wait):
            self.waits -= 1
            self.seen |= dict.fromkeys(step.servers)
        return step

    def broken(self, servers: Iterable[str]) -> dict[str, Lease]:
        """The living leases of others that would be replaced by taking these."""
        found = {name: self.seen[name] for name in servers}
        return {name: lease for name, lease in found.items() if lease is not None and lease.lives}

    def text(self, name: str) -> str:
        """The line that is replaced on a server."""
        lease = self.seen[name]
        return lease.text if lease is not None else ""
