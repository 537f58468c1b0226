"""A whole site is looked at, or made to be what its file says, server by server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from multiprocessing import get_context

from standfast.errors import StandfastError

from . import database, provision
from .database import Vault, options
from .engine import Change, Engine, OpenEngine
from .inventory import Server, Site
from .provision import Known
from .provision.servers import KEY
from .remote import Login, Remote, RemoteError, logins, on_all, reach
from .steps import Packages, Step, Updates

Say = Callable[[Change], None]
_LEARN = f"""
sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/memory \\1/p' /proc/meminfo
for file in /etc/ssh/ssh_host_*_key.pub; do echo "host $(cat "$file")"; done
if test -e {KEY}.pub; then echo "own $(cat {KEY}.pub)"; fi
sed -n 's/^server_id *= */number /p' {options.PATH} 2>/dev/null
for program in mariadbd apache2; do
    if command -v $program >/dev/null; then echo "serves something"; fi
done
"""


@dataclass
class Learnt:
    """What the servers told of themselves, by name."""

    memory_bytes: dict[str, int] = field(default_factory=dict)
    host_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    public_keys: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    #: Those on which nothing is installed that somebody could need.
    new: set[str] = field(default_factory=set)

    def whole(self, site: Site) -> bool:
        """Whether nothing is left to learn."""
        return {server.name for server in site.servers} <= self.public_keys.keys()


def in_order(site: Site) -> list[Server]:
    """The servers as they are taken: the master last, so that what fails has failed before it."""
    return sorted(site.servers, key=lambda server: server.name == site.master)


def reached(site: Site) -> Mapping[str, Remote | RemoteError]:
    """All servers, by the way in that works, or why none does."""
    return on_all(site.servers, lambda server: reach(site, server))


def learn(site: Site) -> Learnt:
    """What all servers that are reached say of themselves. Raises StandfastError where one has
    another number than the file gives it."""
    found = Learnt()
    told = on_all(site.servers, lambda server: reach(site, server).run(_LEARN))
    for name, answer in told.items():
        if isinstance(answer, RemoteError):
            continue
        facts = [line.split(" ", 1) for line in answer.splitlines() if " " in line]
        found.memory_bytes[name] = sum(int(text) * 1024 for kind, text in facts if kind == "memory")
        found.host_keys[name] = tuple(text for kind, text in facts if kind == "host")
        for own in [text for kind, text in facts if kind == "own"]:
            found.public_keys[name] = own
        if not any(kind == "serves" for kind, _ in facts):
            found.new.add(name)
        for number in [text for kind, text in facts if kind == "number" and text.isdecimal()]:
            found.numbers[name] = int(number)
    _unchanged(site, found.numbers)
    return found


def _unchanged(site: Site, numbers: Mapping[str, int]) -> None:
    """Before anything is written: with new options the database itself would no longer show that
    it ever had another number, and two servers' rows and positions would be taken for one's."""
    changed = [
        f"{server.name} is number {numbers[server.name]}, the file makes it {server.number}"
        for server in site.servers
        if numbers.get(server.name, server.number) != server.number
    ]
    if changed:
        raise StandfastError(
            "\n".join(changed) + "\nA number never changes: write down `number` for each server,"
            " as it was. Nothing was done."
        )


def plan(
    site: Site, open_engine: OpenEngine, vault: Vault, tell: Callable[[str], None]
) -> list[Change]:
    """What would be changed on each server, and in their databases; nothing is. ``tell`` hears
    what is being looked at. Raises StandfastError for a server that is not reached."""
    learnt = learn(site)
    found: list[Change] = []
    for server in in_order(site):
        tell(f"{server.name} is looked at")
        engine = _open(site, server, open_engine)
        try:
            found += engine.look(_steps(site, server, learnt, vault))
        finally:
            engine.close()
    if not found:
        tell("the databases are looked at")
        missing = database.what_is_missing(site, reached(site), vault)
        found += [Change("", words, "the databases are one") for words in missing]
    return found


def apply(
    site: Site, open_engine: OpenEngine, vault: Vault, say: Say, tell: Callable[[str], None]
) -> list[Change]:
    """Makes all servers what the file says, and returns what was done; nothing where all was so.

    Server by server, the master last; only new servers, on which nobody relies, get their packages
    side by side. What a server has to know of its peers is learnt when all have been there once.
    Raises StandfastError at the first failure: what is done stays done, and the same again finishes
    the job.
    """
    learnt = learn(site)
    done = _prepare(site, learnt, vault, open_engine, say)
    for _ in range(2):
        whole = learnt.whole(site)
        for server in in_order(site):
            tell(f"{server.name} is looked at")
            engine = _open(site, server, open_engine)
            try:
                done += engine.carry_out(_steps(site, server, learnt, vault), say)
            finally:
                engine.close()
        if whole:
            break
        learnt = learn(site)
    tell("the databases are looked at")

    def settling(words: str) -> None:
        say(Change("", words, "the databases are one"))

    settled = database.settle(site, reached(site), vault, settling)
    return done + [Change("", words, "the databases are one") for words in settled]


def _prepare(
    site: Site, learnt: Learnt, vault: Vault, open_engine: OpenEngine, say: Say
) -> list[Change]:
    """Updates and packages of new servers: the longest part by far, and in nobody's way."""
    servers = [server for server in site.servers if server.name in learnt.new]
    done = [
        Change(each.name, "updates and packages, beside other new servers", "nobody needs it yet")
        for each in servers
    ]
    if len(servers) < 2:
        return []
    for change in done:
        say(change)
    # Processes, as an engine may stand in no thread but the first.
    with ProcessPoolExecutor(len(servers), get_context("spawn")) as pool:
        running = [
            pool.submit(
                _carry_out, open_engine, reach(site, server).login, logins(site, server)[0],
                list(takewhile(_is_package, _steps(site, server, learnt, vault))),
            )
            for server in servers
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
        database_steps=tuple(database.steps(site, server, memory_bytes, vault)),
    )
    return provision.wanted(site, server, known)


def _open(site: Site, server: Server, open_engine: OpenEngine) -> Engine:
    return open_engine(reach(site, server).login, logins(site, server)[0])
