"""The faults: each leaves servers as somebody or something may have left them. Whoever brings one
about puts nothing right, but for what docs/replication.md tells a person to put back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from standfast.cluster.database import links
from tests.e2e.cluster.machines import Machine, Machines

Fault = Callable[[Machines, random.Random], None]


def _one(machines: Machines, chance: random.Random) -> Machine:
    return chance.choice(list(machines.all.values()))


def cut(machines: Machines, chance: random.Random) -> None:
    """A server gets nothing for up to two seconds; some of its links stay down."""
    machine = _one(machines, chance)
    machine.ask("STOP ALL SLAVES")
    time.sleep(chance.uniform(0.2, 2))
    if chance.random() < 0.5:
        machine.ask("START ALL SLAVES")


def kill(machines: Machines, chance: random.Random) -> None:
    """A server ends as by a power cut, and is back after up to two seconds."""
    machine = _one(machines, chance)
    machine.kill()
    time.sleep(chance.uniform(0, 2))
    machine.start()
    machine.wait(60)


def reset_master(machines: Machines, chance: random.Random) -> None:
    """Somebody wants room on the disk. The server has written more than it does in a second: else
    its log would be past its end again before it is looked at."""
    machine = _one(machines, chance)
    number = machine.server.number
    noted = f"SELECT seq > 300 FROM standfast.heartbeat WHERE server = {number:d}"
    machines.within(60, lambda: machine.value(noted) == "1")
    machine.ask("STOP ALL SLAVES", "RESET MASTER", "START ALL SLAVES")


def set_position(machines: Machines, chance: random.Random) -> None:
    """Somebody sets a server's position in another one's domain back."""
    machine = _one(machines, chance)
    number = chance.choice([s.number for s in machines.site.peers(machine.server)])
    machine.ask("STOP ALL SLAVES")
    at = machines.look().seen[machine.server.name].slave_pos[number]
    given = f"{number}-{number}-{at}"
    back = f"{number}-{number}-{max(at - chance.randint(1, 9), 1)}"
    machine.ask(
        f"SET GLOBAL gtid_slave_pos = REPLACE(@@global.gtid_current_pos, '{given}', '{back}')",
        "START ALL SLAVES",
    )


def number(machines: Machines, chance: random.Random) -> None:
    """Somebody gives a server another one's number in its options, and puts it back."""
    machine = _one(machines, chance)
    other = chance.choice(machines.site.peers(machine.server)).number
    options = machine.folder / "my.cnf"
    ours = options.read_text()
    for text in (f"{ours}[mariadbd]\nserver_id = {other}\ngtid_domain_id = {other}\n", ours):
        machine.kill()
        options.write_text(text)
        machine.start()
        machine.wait(60)
        time.sleep(chance.uniform(1.5, 3))


def hole(machines: Machines, chance: random.Random) -> None:
    """A server does not apply, and so does not log, a transaction of another one, which is quiet
    from then on; a third has it, and has nobody else than the first to ask."""
    origin, lacks, stands = chance.sample(list(machines.all.values()), 3)
    links.point(
        stands.remote, stands.server, origin.server, (), machines.vault
    )  # as around a dead server
    ways = [link.name for link in machines.look().seen[lacks.server.name].links]
    filters = [f"SET GLOBAL `{name}`.replicate_wild_ignore_table" for name in ways]
    ignores = [f"{one} = 'drill.noise'" for one in filters]
    lacks.ask("STOP ALL SLAVES", *ignores, "START ALL SLAVES")
    origin.ask("SET GLOBAL event_scheduler = OFF", "SET GLOBAL read_only = ON")
    if _has_all(machines, origin, lacks, stands):
        origin.ask("INSERT INTO drill.noise VALUES ()")
        _has_all(machines, origin, lacks, stands)
        stands.ask("STOP ALL SLAVES")
    lacks.ask("STOP ALL SLAVES", *(f"{one} = ''" for one in filters), "START ALL SLAVES")
    origin.ask("SET GLOBAL read_only = OFF", "SET GLOBAL event_scheduler = ON")
    _has_all(machines, origin, lacks)
    if machines.look().seen[stands.server.name].link(lacks.server.name):
        stands.ask(f"START SLAVE '{lacks.server.name}'")
    time.sleep(1)


def _has_all(machines: Machines, origin: Machine, *others: Machine) -> bool:
    """Whether the others come to have what that one has written until now."""
    number = origin.server.number
    at = machines.look().seen[origin.server.name].binlog_pos[number]

    def have() -> bool:
        seen = machines.look().seen
        return all(seen[one.server.name].position.get(number, 0) >= at for one in others)

    return machines.within(5, have)


FAULTS: dict[str, Fault] = {
    "a link cut": cut,
    "kill -9": kill,
    "RESET MASTER": reset_master,
    "SET GLOBAL gtid_slave_pos": set_position,
    "another number, put back": number,
    "a hole before which a server stands": hole,
}
