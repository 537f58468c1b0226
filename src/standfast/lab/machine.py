"""One server: its disk, its processes, its console."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from standfast.errors import StandfastError

from . import network
from .commands import environment, run, succeeds
from .plan import LabPlan, LabServer

#: A server that does not answer after so long will not any more, in seconds.
BOOT_S = 60.0
_STOP_S = 20.0


class Machine:
    """One server of a lab. What it is like is read from the system each time it is asked for."""

    def __init__(self, plan: LabPlan, server: LabServer) -> None:
        self.plan = plan
        self.server = server
        self.folder = plan.folder / server.name
        self.root = self.folder / "root"

    def start(self, base: Path) -> None:
        """Boots it, from its own disk where it has one; does nothing while it runs."""
        if self.nspawn() is not None:
            return
        network.plug_in(self.plan, self.server.name, self.server.address)
        network.forget_firewall(self.plan, self.server.name)
        self._mount(base)
        words = (
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
            "--console=pipe", "--resolv-conf=copy-host", "--timezone=off",
            f"--machine={self.server.name}", f"--hostname={self.server.name}",
            f"--network-namespace-path=/run/netns/{self.plan.namespace(self.server.name)}",
            f"--directory={self.root}",
            # Its network is its own: it may have its own firewall.
            "--capability=CAP_NET_ADMIN",
        )  # fmt: skip
        with (self.folder / "console.log").open("ab") as log:
            subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(),
                start_new_session=True, cwd="/",
            )  # fmt: skip

    def wait(self) -> None:
        """Waits until SSH answers. Raises StandfastError where it does not."""
        end_s = time.monotonic() + BOOT_S
        while time.monotonic() < end_s:
            if self.answers():
                return
            time.sleep(0.1)
        raise StandfastError(
            f"{self.server.name} does not answer on port {self.server.ssh_port}; "
            f"{self.folder}/console.log has what it said while it booted"
        )

    def answers(self) -> bool:
        """Whether an SSH server greets on its own port, or on that of a server just rented."""
        # A port that is closed refuses at once, one behind a firewall is silent: that comes last.
        return any(map(self._greets, dict.fromkeys((self.server.ssh_port, 22))))

    def state(self) -> str:
        """What it does, in words."""
        if self.nspawn() is None:
            return "has no power"
        return "answers" if self.answers() else "runs, and does not answer by SSH"

    def _greets(self, port: int) -> bool:
        try:
            with socket.create_connection((self.server.address, port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def kill(self) -> None:
        """As when the power fails: every process is gone at once; the disk stays."""
        supervisor = self.nspawn()
        if supervisor is None:
            return
        processes = (*_children(supervisor), supervisor)
        for process in processes:
            _send(process, signal.SIGKILL)
        self._wait_for_end(processes)

    def remove(self) -> None:
        """Takes it away with its disk."""
        self.kill()
        self._unmount()
        network.unplug(self.plan, self.server.name)
        _remove(self.folder)

    def restore(self, base: Path) -> None:
        """Makes its disk new and boots it."""
        self.kill()
        self._unmount()
        _remove(self.folder / "upper", self.folder / "work")
        self.start(base)

    def console(self, words: list[str]) -> int:
        """Runs a command, or a shell, on its console: no network and no SSH are needed."""
        leader = self.leader()
        if leader is None:
            name = self.server.name
            raise StandfastError(f"{name} is not running: standfast lab start {name}")
        inside = words or ["/bin/bash", "--login"]
        enter = ["nsenter", "--target", str(leader), "--all", "env", "--chdir=/root", "-i"]
        enter += ["HOME=/root", f"TERM={os.environ.get('TERM', 'dumb')}", f"PATH={_PATH}"]
        return subprocess.run([*enter, *inside], env=environment()).returncode

    def nspawn(self) -> int | None:
        """The process that supervises it, None while it does not run."""
        mine = f"--directory={self.root}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mine in (entry / "cmdline").read_bytes().split(b"\0"):
                        return int(entry.name)
                except OSError:
                    continue
        return None

    def leader(self) -> int | None:
        """Its first process, seen from this machine."""
        supervisor = self.nspawn()
        return next(iter(_children(supervisor)), None) if supervisor is not None else None

    def _mount(self, base: Path) -> None:
        fresh = not (self.folder / "upper").exists()
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        if not os.path.ismount(self.root):
            # Left by a mount that this machine's own end cut off; it would forbid another one.
            shutil.rmtree(self.folder / "work/work/incompat", ignore_errors=True)
            layers = f"lowerdir={base},upperdir={self.folder}/upper,workdir={self.folder}/work"
            # volatile: nobody waits for this machine's disk. Whatever ends a server leaves what it
            # has written in the memory of this machine, which goes on.
            run("mount", "-t", "overlay", "overlay", "-o", f"{layers},volatile", str(self.root))
        if fresh:
            self._make_own()

    def _make_own(self) -> None:
        """What a provider does to a server that it has just rented out."""
        (self.root / "etc/hostname").write_text(f"{self.server.name}\n")
        hosts = f"127.0.0.1 localhost\n127.0.1.1 {self.server.name}\n::1 localhost\n"
        (self.root / "etc/hosts").write_text(hosts)
        run("ssh-keygen", "-A", "-f", str(self.root))
        folder = self.root / "root/.ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = folder / "authorized_keys"
        keys.write_text("".join(f"{key}\n" for key in self.plan.keys))
        keys.chmod(0o600)

    def _unmount(self) -> None:
        if os.path.ismount(self.root) and not succeeds("umount", str(self.root)):
            run("umount", "--lazy", str(self.root))

    def _wait_for_end(self, processes: tuple[int, ...]) -> None:
        """Its first process ends after all the others have."""
        end_s = time.monotonic() + _STOP_S
        while any(map(_runs, processes)):
            if time.monotonic() > end_s:
                raise StandfastError(f"{self.server.name} (process {processes}) does not go away")
            time.sleep(0.02)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _remove(*folders: Path) -> None:
    # Tens of thousands of files: a program takes a fraction of the time, and not Python's lock.
    succeeds("rm", "-rf", "--one-file-system", *map(str, folders))


def _children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _runs(process: int) -> bool:
    """Whether it has not ended; one that nobody has reaped yet has."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
