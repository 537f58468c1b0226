"""A whole site is looked at, or made to be what its file says, server by server.

What always holds: nothing is done that was not in the plan that was agreed to, or agreed to on the
way, nor on a server whose lease is not held; a server that does not answer holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing import get_context

from standfast.errors import StandfastError

from . import database, provision
from .database import Vault
from .engine import Change, Engine, OpenEngine
from .inventory import Server, Site
from .learning import Learnt, learn
from .lease import Hold
from .provision import Known, servers
from .remote import Login, Remote, RemoteError, logins, on_all, reach
from .status.heard import last_heard
from .steps import Packages, Step, Updates

Say = Callable[[Change], None]
#: Whether what was not in the plan may be done.
Agreed = Callable[[Sequence[Change]], bool]
_WHY_DATABASES = "the databases are one"


@dataclass(frozen=True)
class Plan:
    """What would be changed, in order. ``later`` are the servers that have no database yet, whose
    part in replication is seen once they have; ``away`` says why others were not looked at, and
    since when they are away."""

    changes: tuple[Change, ...]
    later: tuple[str, ...] = ()
    away: Mapping[str, str] | None = None

    @property
    def allowed(self) -> frozenset[tuple[str, str]]:
        """The changes by what they are about, for :func:`apply`."""
        return frozenset((change.server, change.about) for change in self.changes)


@dataclass(frozen=True)
class Done:
    """What was changed, and why servers were left out, with since when they are away."""

    changes: tuple[Change, ...]
    away: Mapping[str, str]


def in_order(site: Site, learnt: Learnt | None = None) -> list[Server]:
    """The servers that answer as they are taken: the master last, so that what fails has failed
    before it."""
    there = [s for s in site.servers if learnt is None or s.name not in learnt.away]
    return sorted(there, key=lambda server: server.name == site.master)


def plan(site: Site, open_engine: OpenEngine, vault: Vault, tell: Callable[[str], None]) -> Plan:
    """What would be changed on each server, and in their databases; nothing is. ``tell`` hears
    what is being looked at. Raises StandfastError where no server is reached, or one is another."""
    tell("all servers are asked")
    learnt = learn(site, vault.fingerprint())
    found: list[Change] = []
    for server in in_order(site, learnt):
        tell(f"{server.name} is looked at")
        engine = _open(site, server, open_engine)
        try:
            found += engine.look(_steps(site, server, learnt, vault))
        finally:
            engine.close()
        if not learnt.whole(site):
            found.append(_once_all_have_keys(server))
    tell("the databases are looked at")
    remotes = _with_database(site, learnt)
    if any(isinstance(remote, Remote) for remote in remotes.values()):
        found += _missing(site, remotes, vault)
    return Plan(tuple(found), tuple(sorted(learnt.new)), _away(site, remotes, learnt))


def apply(
    site: Site,
    open_engine: OpenEngine,
    vault: Vault,
    say: Say,
    tell: Callable[[str], None],
    planned: Plan | None,
    agreed: Agreed,
    hold: Hold,
) -> Done:
    """Makes all servers whose leases are held what the file says.

    ``planned`` is what was agreed to, None for whatever there is; what turns out to be needed
    beside it is done where ``agreed`` says so. Server by server, the master last; only new servers,
    on which nobody relies, get their packages side by side. What a server has to know of its peers
    is learnt when all have been there once. Raises StandfastError at the first failure, or where
    something was not agreed to: what is done stays done, and the same again finishes the job.
    """
    allowed = None if planned is None else planned.allowed

    def check(change: Change) -> None:
        if allowed is not None and (change.server, change.about) not in allowed:
            _ask([change], agreed)
        hold.check(change.server)
        say(change)

    tell("all servers are asked")
    learnt = learn(site, vault.fingerprint(), hold.away)
    hold.check(*learnt.new)
    done = _prepare(site, learnt, vault, open_engine, say)
    carried_out: dict[str, list[Step]] = {}
    for _ in range(2):
        whole = learnt.whole(site)
        for server in in_order(site, learnt):
            steps = _steps(site, server, learnt, vault)
            # The second time it is what the servers have told since, and no more.
            todo = [step for step in steps if step not in carried_out.get(server.name, ())]
            carried_out[server.name] = steps
            if not todo:
                continue
            tell(f"{server.name} is looked at")
            engine = _open(site, server, open_engine)
            try:
                done += engine.carry_out(todo, check)
            finally:
                engine.close()
        if whole:
            break
        learnt = learn(site, vault.fingerprint(), hold.away)
    tell("the databases are looked at")
    remotes = _reached(site, learnt.away)
    if allowed is not None:
        missing = _missing(site, remotes, vault)
        new = [change for change in missing if (change.server, change.about) not in allowed]
        if new:
            _ask(new, agreed)

    def settling(words: str) -> None:
        say(Change("", words, _WHY_DATABASES))

    settled = database.settle(site, remotes, vault, settling, check=hold.check)
    done += [Change("", words, _WHY_DATABASES) for words in settled]
    return Done(tuple(done), _away(site, remotes, learnt))


def _ask(changes: Sequence[Change], agreed: Agreed) -> None:
    if not agreed(changes):
        words = "; ".join(change.title for change in changes[:3])
        raise StandfastError(f"this was not in the plan, and was not agreed to: {words}")


def _missing(site: Site, remotes: Mapping[str, Remote | RemoteError], vault: Vault) -> list[Change]:
    words = database.what_is_missing(site, remotes, vault)
    return [Change("", each, _WHY_DATABASES) for each in words]


def _with_database(site: Site, learnt: Learnt) -> Mapping[str, Remote | RemoteError]:
    """The servers whose database can be looked at; the others as if they were not reached."""
    new = {n: RemoteError(f"{n} has no database yet", reached=False) for n in learnt.new}
    return _reached(site, {**new, **learnt.away})


def _reached(site: Site, left_out: Mapping[str, RemoteError]) -> Mapping[str, Remote | RemoteError]:
    def one(server: Server) -> Remote:
        if server.name in left_out:
            raise left_out[server.name]
        return reach(site, server)

    return on_all(site.servers, one)


def _away(
    site: Site, remotes: Mapping[str, Remote | RemoteError], learnt: Learnt
) -> dict[str, str]:
    words = last_heard(site, remotes, learnt.away)
    return {name: f"{why}{words[name]}" for name, why in learnt.away.items()}


def _once_all_have_keys(server: Server) -> Change:
    """A file that can only be shown once it is known what is in it."""
    return Change(
        server.name,
        f"file {servers.AUTHORIZED_KEYS}, once each server has made its key",
        "peers may read the site's files and do nothing else",
        about=f"file {servers.AUTHORIZED_KEYS}",
    )


def _prepare(
    site: Site, learnt: Learnt, vault: Vault, open_engine: OpenEngine, say: Say
) -> list[Change]:
    """Updates and packages of new servers: the longest part by far, and in nobody's way."""
    new = [server for server in site.servers if server.name in learnt.new]
    done = [
        Change(each.name, "updates and packages, beside other new servers", "nobody needs it yet")
        for each in new
    ]
    if len(new) < 2:
        return []
    for change in done:
        say(change)
    # Processes, as an engine may stand in no thread but the first.
    with ProcessPoolExecutor(len(new), get_context("spawn")) as pool:
        running = [
            pool.submit(
                _carry_out, open_engine, reach(site, server).login, logins(site, server)[0],
                list(takewhile(_is_package, _steps(site, server, learnt, vault))),
            )
            for server in new
        ]  # fmt: skip
        for each in running:
            each.result()
    return done


def _is_package(step: Step) -> bool:
    return isinstance(step, Updates | Packages)


def _carry_out(open_engine: OpenEngine, login: Login, after: Login, steps: list[Step]) -> None:
    engine = open_engine(login, after)
    try:
        engine.carry_out(steps, lambda change: None)
    finally:
        engine.close()


def _steps(site: Site, server: Server, learnt: Learnt, vault: Vault) -> list[Step]:
    memory_bytes = learnt.memory_bytes.get(server.name, 0)
    known = Known(
        public_keys=learnt.public_keys,
        host_keys=learnt.host_keys,
        memory_bytes=memory_bytes,
        fingerprint=vault.fingerprint(),
        database_steps=tuple(database.steps(site, server, memory_bytes, vault)),
    )
    return provision.wanted(site, server, known)


def _open(site: Site, server: Server, open_engine: OpenEngine) -> Engine:
    return open_engine(reach(site, server).login, logins(site, server)[0])
