"""The leases of all servers are taken, renewed while something runs, and given back."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from standfast.errors import StandfastError

from ..inventory import Server, Site
from ..remote import OtherHostKey, Remote, RemoteError, on_all, user
from . import place
from .decision import Go, Lease, Refuse, Take, Taking, Wait

#: Each lease is renewed so often, in seconds.
RENEW_S = 15.0
#: What was renewed less than this ago is not asked about again before a change, in seconds.
FRESH_S = 1.0
#: So long after it has broken a lease a run begins, in seconds: the other one has then seen it.
_BROKEN_S = 2 * FRESH_S
_PAUSE_S = 0.5
_ROUNDS = 30
_GIVE_BACK_S = 10

Reach = Callable[[Server], Remote]
Holders = Mapping[str, Lease]


class Taken(StandfastError):
    """Another run holds the lease of a server."""


class Lost(StandfastError):
    """A lease was broken, or is gone: nothing more is changed."""


@dataclass
class _One:
    """The lease of one server that is held: its line as last read, and when that was asked for
    (``_now_s``)."""

    server: Server
    remote: Remote
    text: str
    checked_s: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Hold:
    """The leases of all servers that answered, for one run. ``away`` says why the others did not;
    these are not to be changed."""

    def __init__(self, site: Site, command: str, reach: Reach) -> None:
        self.away: dict[str, RemoteError] = {}
        self._site = site
        self._reach = reach
        self._token = secrets.token_hex(16)
        who = re.sub(r"[^A-Za-z0-9._-]", "_", user() or "unknown")
        host = re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())
        self._words = f"{self._token} {who[:40]}@{host[:50]} {command[:100]}"
        self._held: dict[str, _One] = {}
        self._lost: str | None = None
        self._ended = threading.Event()

    def check(self, *names: str) -> None:
        """Before these servers are changed. Raises Lost where one's lease is not held any more,
        RemoteError where it cannot be asked."""
        fresh_s = _now_s() - FRESH_S
        old = [n for n in names if n not in self._held or self._held[n].checked_s < fresh_s]
        found = on_all(map(self._site.server, old), self._renew) if not self._lost else {}
        if self._lost:
            raise Lost(self._lost)
        for answer in found.values():
            if isinstance(answer, RemoteError):
                raise answer

    def remotes(
        self, remotes: Mapping[str, Remote | RemoteError]
    ) -> dict[str, Remote | RemoteError]:
        """The ways to the servers, without those that are not to be changed."""
        return {**remotes, **self.away}

    def take(self, breaks: Callable[[Holders], None] | None) -> None:
        """Takes all leases. ``breaks`` is told whose are broken; where it is None, none are.

        Raises Taken, having given back what it had, and RemoteError where no server answers, or
        one shows another host key.
        """
        names = [server.name for server in self._site.servers]
        taking = Taking(self._token, dict.fromkeys(names), breaks is not None)
        broken = False
        for _ in range(_ROUNDS):
            match taking.next():
                case Go():
                    if broken:
                        time.sleep(_BROKEN_S)
                    return
                case Refuse(holders):
                    raise Taken(refusal(holders, datetime.now(UTC)))
                case Wait():
                    time.sleep(_PAUSE_S)
                case Take(servers):
                    living = taking.broken(servers)
                    if living and breaks is not None:
                        breaks(living)
                        broken = True
                    self._take(servers, taking)
        raise Taken("the leases of the servers change all the time: try again")

    def keep(self) -> None:
        """Renews the leases until they are given back: for a thread of its own."""
        while not self._ended.wait(RENEW_S):
            on_all([one.server for one in self._held.values()], self._renew)

    def give_back(self) -> None:
        """Gives back what is still held; what cannot be reached expires by itself."""
        self._ended.set()
        on_all([one.server for one in self._held.values()], self._give_back)

    def _take(self, servers: Iterable[str], taking: Taking) -> None:
        def one(server: Server) -> Lease | None:
            remote = self._reach(server)
            began_s = _now_s()
            lease = place.swap(remote, taking.text(server.name), f"- {self._words}")
            if lease is not None and lease.token == self._token:
                self._held[server.name] = _One(server, remote, lease.text, began_s)
            return lease

        found = on_all(map(self._site.server, servers), one)
        for name, answer in found.items():
            if isinstance(answer, OtherHostKey):
                raise answer
            if isinstance(answer, RemoteError):
                self.away[name] = answer
                del taking.seen[name]
            else:
                taking.seen[name] = answer
        if not taking.seen:
            raise next(iter(self.away.values()))

    def _renew(self, server: Server) -> None:
        """Raises RemoteError; that it is lost is noted."""
        if server.name in self.away:
            raise self.away[server.name]
        one = self._held[server.name]
        with one.lock:
            if self._ended.is_set():
                return
            began_s = _now_s()
            since = one.text.split(" ", 2)[1]
            lease = self._swap(one, f"{since} {self._words}", until=_is_whole)
            if lease is None:
                self._lost = self._lost or (
                    f"the lease of {server.name} is gone: another run broke it, or the server was"
                    " booted. Nothing more was changed."
                )
            elif lease.token != self._token:
                self._lost = self._lost or (
                    f"the lease of {server.name} was broken by {lease.owner}"
                    f" (`standfast cluster {lease.command}`, {lease.age_s} s ago)."
                    " Nothing more was changed."
                )
            else:
                one.checked_s = began_s

    def _give_back(self, server: Server) -> None:
        one = self._held[server.name]
        with one.lock:
            self._swap(one, "", until=lambda lease: lease is None)

    def _swap(self, one: _One, wanted: str, until: Callable[[Lease | None], bool]) -> Lease | None:
        """What is there afterwards. Where an earlier answer was lost on its way the lease bears
        another line than is known here, with the same token: then a second try knows it."""
        for _ in range(2):
            lease = self._ask(one, wanted)
            if lease is None or lease.token != self._token:
                break
            one.text = lease.text
            if until(lease):
                break
        return lease

    def _ask(self, one: _One, wanted: str) -> Lease | None:
        try:
            return place.swap(one.remote, one.text, wanted, timeout_s=_GIVE_BACK_S)
        except RemoteError as error:
            if error.reached:
                raise
            # The way in may have changed meanwhile.
            one.remote = self._reach(one.server)
            return place.swap(one.remote, one.text, wanted, timeout_s=_GIVE_BACK_S)


@contextlib.contextmanager
def held(
    site: Site, command: str, reach: Reach, breaks: Callable[[Holders], None] | None = None
) -> Iterator[Hold]:
    """Holds the leases of all servers that answer. ``command`` is what others are told that runs,
    ``reach`` gives the way to a server, ``breaks`` is told whose leases are broken (None: none).

    Raises Taken where another run holds one, RemoteError where no server answers.
    """
    hold = Hold(site, command, reach)
    try:
        hold.take(breaks)
        threading.Thread(target=hold.keep, daemon=True).start()
        yield hold
    finally:
        hold.give_back()


def refusal(holders: Holders, now: datetime) -> str:
    """Who holds which servers, since when and until when, and what to do."""
    lines = [
        f"{names}: {lease.owner} changes {'it' if ',' not in names else 'them'} just now"
        f" (`standfast cluster {lease.command}`, since {_at(now, -lease.age_s)}); the lease ends at"
        f" {_at(now, lease.left_s)} unless that run renews it, as it does while it lives."
        for names, lease in by_run(holders)
    ]
    return (
        "\n".join(lines) + "\nNothing was done. Wait until it is over: also that of a run which was"
        " killed ends by itself. If it has to be now, --break-lease takes it: that run then stops"
        " before its next change."
    )


def by_run(holders: Holders) -> list[tuple[str, Lease]]:
    """One lease of each run, with the names of the servers that it holds."""
    runs: dict[str, list[str]] = {}
    for name, lease in holders.items():
        runs.setdefault(lease.token, []).append(name)
    return [(", ".join(names), holders[names[0]]) for names in runs.values()]


def _now_s() -> float:
    """It goes on while this machine sleeps, in which others may have taken the lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _at(now: datetime, seconds: int) -> str:
    return (now + timedelta(seconds=seconds)).strftime("%H:%M:%S UTC")


def _is_whole(lease: Lease | None) -> bool:
    return lease is not None and lease.left_s >= place.EXPIRY_S
