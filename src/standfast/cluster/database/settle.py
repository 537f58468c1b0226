"""Replication is brought to what the inventory says: observed, healed and observed again, until
there is nothing left to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from standfast.errors import StandfastError

from ..inventory import Site
from ..remote import Remote, RemoteError, on_all
from ..status import heartbeat
from . import accounts, join, links, sql
from .actions import (
    Advance,
    Copy,
    CreateDatabase,
    Drop,
    Halt,
    HealingStep,
    NeedsPerson,
    PassHole,
    Point,
    Restart,
    Retire,
    Strict,
    Wait,
)
from .heal import heal
from .observe import Away, Observed, Remotes, Seen, look, observe
from .secrets import Vault

Say = Callable[[str], None]
#: Is called with a server's name before that server is changed, and raises where it may not be.
Check = Callable[[str], None]
#: Links that were changed come right in a second or two, or not without help.
_PATIENCE_S = 45.0
_PAUSE_S = 0.3
#: A link that has connected is refused a moment later where its origin does not have yet what it
#: asks for: what was changed is well when it is well twice.
_AGAIN_S = 1.0


class Unsettled(StandfastError):
    """What is left that no step puts right; ``done`` is what was done before."""

    def __init__(self, words: list[str], done: list[str]) -> None:
        super().__init__("\n".join(words))
        self.done = done


def unchecked(name: str) -> None:
    """Whoever calls has seen to it that nobody else changes the servers."""


def settle(
    site: Site,
    remotes: Remotes,
    vault: Vault,
    say: Say,
    patience_s: float = _PATIENCE_S,
    check: Check = unchecked,
) -> list[str]:
    """Does what is to be done, and returns it in words; an empty list where all was well.

    Links that need time are given up to ``patience_s`` seconds from the last change. Raises
    Unsettled where a person is needed, RemoteError where a server is lost on the way, and what
    ``check`` raises.
    """
    done: list[str] = []
    tried: dict[HealingStep, int] = {}
    seen_well = False
    until = time.monotonic() + patience_s
    while True:
        observed = observe(site, remotes)
        if not observed.seen:
            raise Unsettled(_silent(observed), done)
        changes = _preparations(site, observed, vault)
        steps = heal(site, observed)
        acting = [step for step in steps if not isinstance(step, Wait | NeedsPerson)]
        if not changes and not acting:
            if not any(isinstance(step, Wait) for step in steps):
                if seen_well or not done:
                    break
                seen_well = True
                time.sleep(_AGAIN_S)
                continue
            if time.monotonic() > until:
                break
        if time.monotonic() > until and all(tried.get(step) for step in acting) and not changes:
            break
        seen_well = False
        for change in changes:
            check(change.server)
            say(change.words)
            done.append(change.words)
        _prepare(site, remotes, changes)
        for step in acting:
            check(_changed_by(step))
            if not tried.get(step):
                say(str(step))
                done.append(str(step))
                until = time.monotonic() + patience_s
            tried[step] = tried.get(step, 0) + 1
            carry_out(site, remotes, vault, step, say, check)
        time.sleep(_PAUSE_S if steps else 0)
    if steps:
        raise Unsettled([str(step) for step in steps], done)
    return done


def what_is_missing(site: Site, remotes: Remotes, vault: Vault) -> list[str]:
    """What ``settle`` would begin with, and what it could not put right; nothing is changed."""
    observed = observe(site, remotes)
    changes = [change.words for change in _preparations(site, observed, vault)]
    return _silent(observed) + changes + [str(step) for step in heal(site, observed)]


def carry_out(
    site: Site,
    remotes: Remotes,
    vault: Vault,
    step: HealingStep,
    say: Say = lambda words: None,
    check: Check = unchecked,
) -> None:
    """Does one step. Raises RemoteError, and StandfastError where a copy ends early."""
    match step:
        case Point(replica, origin, ignored, _):
            one, other = site.server(replica), site.server(origin)
            links.point(_reached(remotes, replica), one, other, ignored, vault)
        case Restart(replica, origin, _):
            links.restart(_reached(remotes, replica), origin)
        case PassHole(replica, origin):
            links.pass_hole(_reached(remotes, replica), origin)
        case Strict(server):
            sql.ask(_reached(remotes, server), "SET GLOBAL gtid_strict_mode = ON")
        case Advance(replica):
            links.advance(_reached(remotes, replica))
        case Drop(replica, name):
            links.drop(_reached(remotes, replica), name)
        case Copy(source, target):
            to = _reached(remotes, target)
            join.copy(_reached(remotes, source), to, look(target, to), say, partial(check, target))
        case CreateDatabase(server, name):
            sql.ask(_reached(remotes, server), f"CREATE DATABASE IF NOT EXISTS {sql.name(name)}")
        case Retire(server, domain):
            sql.ask(_reached(remotes, server), f"FLUSH BINARY LOGS DELETE_DOMAIN_ID = ({domain:d})")
        case Halt(server):
            sql.ask(_reached(remotes, server), heartbeat.HALT_SQL)
        case Wait() | NeedsPerson():
            pass


def _changed_by(step: HealingStep) -> str:
    """The server that a step changes."""
    match step:
        case Copy():
            return step.target
        case CreateDatabase() | Retire() | Halt() | Strict() | NeedsPerson():
            return step.server
        case _:
            return step.replica


def _silent(observed: Observed) -> list[str]:
    """The servers that are there, but whose database is not; all, where none is."""
    return [
        f"{name}: its database does not answer ({one.why})"
        for name, one in observed.servers.items()
        if isinstance(one, Away) and (one.reached or not observed.seen)
    ]


@dataclass(frozen=True)
class _Change:
    """Something on one server that does not depend on the others."""

    server: str
    words: str
    statements: tuple[str, ...]


def _prepare(site: Site, remotes: Remotes, changes: list[_Change]) -> None:
    """All servers at once, each in the order of its changes. Raises RemoteError."""
    wanted: dict[str, list[str]] = {}
    for change in changes:
        wanted.setdefault(change.server, []).extend(change.statements)
    answers = on_all(
        [site.server(name) for name in wanted],
        lambda server: sql.ask(_reached(remotes, server.name), *wanted[server.name]),
    )
    for answer in answers.values():
        if isinstance(answer, RemoteError):
            raise answer


def _preparations(site: Site, observed: Observed, vault: Vault) -> list[_Change]:
    """Accounts, and the tool's own table; the heart beats once the server is in the circle."""
    found: list[_Change] = []
    for name, seen in observed.seen.items():
        server = site.server(name)
        if not seen.logs or seen.server_id != server.number or seen.joining:
            continue
        for change in accounts.missing(site, server, seen, vault):
            found.append(_Change(name, f"{name}: {change.words}", change.statements))
        if "standfast" not in seen.databases:
            words = f"{name}: the tool's own table"
            found.append(_Change(name, words, (heartbeat.TABLE_SQL,)))
        if not seen.beats and _is_in(site, seen):
            words = f"{name}: its heart beats"
            statements = heartbeat.TABLE_SQL, heartbeat.event_sql(server.number)
            found.append(_Change(name, words, statements))
    return found


def _is_in(site: Site, seen: Seen) -> bool:
    return bool(seen.links) or len(site.servers) == 1


def _reached(remotes: Remotes, name: str) -> Remote:
    remote = remotes[name]
    if isinstance(remote, RemoteError):
        raise remote
    return remote
