"""All servers of a site together: up, down, and what is done to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from standfast.errors import StandfastError

from . import network, taken
from .base import base
from .commands import missing, succeeds
from .machine import Machine
from .plan import LABS, LabPlan, LabServer


def _on_all(machines: Iterable[Machine], do: Callable[[Machine], None]) -> None:
    """Does something to several servers at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(do, machines))


def _silent(_: str) -> None:
    return


class Lab:
    """The lab of one site. Nothing of it is kept in memory: any process may go on with it."""

    def __init__(self, plan: LabPlan, progress: Callable[[str], None] = _silent) -> None:
        """``progress`` is told what is being done. Raises StandfastError where this machine
        cannot be a lab, with what to do."""
        lacking = missing()
        if lacking is not None:
            raise StandfastError(lacking)
        self.plan = plan
        self.machines = {server.name: Machine(plan, server) for server in plan.servers}
        self._progress = progress

    def up(self) -> None:
        """Boots every server that does not run, all at once, and waits until SSH answers. Raises
        StandfastError where another lab has its addresses or its name."""
        taken.refuse(self.plan)
        ground = self._base()
        LABS.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.plan.folder.mkdir(mode=0o755, exist_ok=True)
        taken.remember(self.plan)
        network.set_up(self.plan)
        booting = [each for each in self.machines.values() if each.nspawn() is None]
        for machine in booting:
            self._progress(f"{machine.server.name} boots at {machine.server.address}")
            machine.start(ground)
        for machine in booting:
            machine.wait()
            self._progress(f"{machine.server.name} answers")

    def down(self) -> None:
        """Leaves nothing behind, whatever state a lab of this name is in."""
        folder = self.plan.folder
        machines = self._all()
        self._progress(f"{', '.join(machine.server.name for machine in machines)} go")
        _on_all(machines, Machine.remove)
        network.take_down(self.plan)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise StandfastError(f"{folder} could not be removed; is somebody in there?")

    def _all(self) -> list[Machine]:
        """Also servers that are no longer in the plan, and left their disks."""
        found = dict(self.machines)
        for entry in self.plan.folder.glob("*/root"):
            name = entry.parent.name
            if name not in found:
                found[name] = Machine(self.plan, LabServer(name, ""))
        return list(found.values())

    def machine(self, name: str) -> Machine:
        """The server of this name. Raises UsageError."""
        return self.machines[self.plan.server(name).name]

    def start(self, name: str) -> None:
        """Boots a server that was killed, from its own disk."""
        machine = self.machine(name)
        self._must_be_up()
        if machine.nspawn() is not None:
            raise StandfastError(f"{name} is running already")
        machine.start(self._base())
        machine.wait()

    def kill(self, name: str) -> None:
        """Takes a server's power away."""
        machine = self.machine(name)
        self._must_be_up()
        if machine.nspawn() is None:
            raise StandfastError(f"{name} has no power already: standfast lab start {name}")
        machine.kill()

    def console(self, name: str, words: list[str]) -> int:
        """Runs a command, or a shell, on a server's console; its exit status."""
        machine = self.machine(name)
        self._must_be_up()
        return machine.console(words)

    def restore(self, *names: str) -> None:
        """Makes the disks of these servers, or of all, new, and boots them: for tests."""
        self._must_be_up()
        ground = self._base()
        machines = [self.machine(name) for name in names] or list(self.machines.values())
        _on_all(machines, lambda machine: machine.restore(ground))
        for machine in machines:
            machine.wait()

    def cut(self, one: str, other: str) -> None:
        """Cuts the link between two servers. Raises UsageError where they are not two."""
        self.plan.pair(one, other)
        self._must_be_up()
        network.cut(self.plan, one, other)

    def join(self, one: str, other: str) -> None:
        """Mends the link between two servers. Raises UsageError where they are not two."""
        self.plan.pair(one, other)
        self._must_be_up()
        network.join(self.plan, one, other)

    def states(self) -> dict[str, str]:
        """What each server does, by its name, in words."""
        if not self._is_up():
            return dict.fromkeys(self.machines, "is not there")
        return {name: machine.state() for name, machine in self.machines.items()}

    def cuts(self) -> list[tuple[str, str]]:
        """Between which servers nothing passes."""
        return network.cuts(self.plan) if self._is_up() else []

    def outside(self, *words: str) -> list[str]:
        """The words that run a command at a client that is neither server nor admin."""
        space = self.plan.namespace("outside")
        return ["ip", "netns", "exec", space, *words]

    def _base(self) -> Path:
        return base(self._progress, self.plan.packages)

    def _is_up(self) -> bool:
        return succeeds("ip", "link", "show", self.plan.bridge)

    def _must_be_up(self) -> None:
        if not self._is_up():
            raise StandfastError("this lab is not up: standfast lab up")
