"""Real MariaDB servers on loopback, each at an address of its own, reached as over SSH."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standfast.cluster.database import (
    Observed,
    Unsettled,
    Vault,
    gtid,
    observe,
    settle,
    setup,
    sql,
)
from standfast.cluster.inventory import Server, Site
from standfast.cluster.lease import place
from standfast.cluster.remote import Login, Remote, RemoteError
from standfast.cluster.steps import File

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEAYsaiHyGMbnoNxPKPNr7kcRmS9eQlj7R9SPtDiZ2ra ada"
MEMORY = 256 * 1024 * 1024
#: On one machine all servers' connections come from here.
FROM = "127.0.0.1"
NAMES = ("one", "two", "three", "four", "five")


class Local(Remote):
    """A server that is a process of this machine: its socket is where the client looks."""

    def __init__(self, name: str, socket: Path) -> None:
        super().__init__(Login(name, "127.0.0.1", 22, "root", socket))
        self.socket = socket

    def command(self, script: str, *, kept: bool = True) -> list[str]:
        """As a script of the shell, here."""
        script = script.replace(place.FOLDER, str(self.socket.parent / "run"))
        return ["env", f"HOME={self.socket.parent}", "sh", "-c", script]


@dataclass
class Machine:
    """One server: its folder, its process while it runs."""

    server: Server
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def remote(self) -> Remote:
        return Local(self.server.name, self.socket)

    def start(self) -> None:
        """Starts it, without waiting."""
        words = [
            "mariadbd", f"--defaults-file={self.folder / 'my.cnf'}",
            f"--datadir={self.folder / 'data'}", f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}", f"--bind-address={self.server.address}",
            # A server that starts removes what others have in the same folder for a while.
            f"--tmpdir={self.folder}",
            f"--user={getpass.getuser()}", "--innodb-log-file-size=8M", "--innodb-fast-shutdown=2",
            "--innodb-buffer-pool-size=16M", "--aria-pagecache-buffer-size=1M",
            "--skip-performance-schema",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)

    def wait(self, within_s: float = 60) -> None:
        """Until it answers."""
        until = time.monotonic() + within_s
        while True:
            try:
                self.ask("SELECT 1")
            except RemoteError as error:
                if time.monotonic() > until:
                    log = (self.folder / "log").read_text()[-3000:]
                    raise AssertionError(f"{error}\n{log}") from None
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def ask(self, *statements: str) -> list[list[sql.Row]]:
        return sql.ask(self.remote, *statements)

    def purge_logs(self) -> None:
        """Its binary logs begin here and now."""
        until = time.monotonic() + 10
        while True:  # a log that is being sent is not removed
            self.ask("FLUSH BINARY LOGS")
            last = self.ask("SHOW BINARY LOGS")[0][-1]["Log_name"]
            self.ask(f"PURGE BINARY LOGS TO '{last}'")
            if len(self.ask("SHOW BINARY LOGS")[0]) == 1:
                return
            assert time.monotonic() < until
            time.sleep(0.1)

    def value(self, statement: str) -> str | None:
        ((row,),) = self.ask(statement)
        return next(iter(row.values()))


@dataclass
class Machines:
    """The servers of a site. Made from a folder with an empty data folder to copy."""

    folder: Path
    template: Path
    net: str
    site: Site = field(init=False)
    vault: Vault = field(init=False)
    all: dict[str, Machine] = field(default_factory=dict)

    def set_up(self, topology: str, count: int, **database: Any) -> None:
        """The site has these servers from now on; those that are new are started, empty."""
        self.site = Site.model_validate({
            "name": "shop", "domain": "shop.example", "master": "one",
            "admins": [{
                "name": "ann", "addresses": ["127.0.0.1/32"],
                "keys": [KEY],
            }],
            "servers": [
                {"name": name, "address": f"{self.net}.{number}", "location": name.title()}
                for number, name in enumerate(NAMES[:count], 1)
            ],
            "database": {"topology": topology, **database},
        })  # fmt: skip
        self.site._file = self.folder / "site.toml"
        self.vault = Vault(self.site)
        new = [s for s in self.site.servers if s.name not in self.all]
        for server in new:
            self.all[server.name] = machine = Machine(server, self.folder / server.name)
            machine.folder.mkdir()
            (machine.folder / ".my.cnf").write_text(f"[client]\nsocket={machine.socket}\n")
            shutil.copytree(self.template, machine.folder / "data")
            self.configure(machine)
            machine.start()
        for server in new:
            self.all[server.name].wait()

    def configure(self, machine: Machine) -> None:
        """Its files, as the engine would put them in place."""
        for step in setup.steps(self.site, machine.server, MEMORY, self.vault):
            if isinstance(step, File):
                name = "my.cnf" if step.path.endswith(".cnf") else Path(step.path).name
                text = step.text.replace("/etc/mysql/standfast/", f"{machine.folder}/")
                (machine.folder / name).write_text(text)

    @property
    def remotes(self) -> Mapping[str, Remote | RemoteError]:
        return {name: machine.remote for name, machine in self.all.items()}

    def __getitem__(self, name: str) -> Machine:
        return self.all[name]

    def settle(self, patience_s: float = 20) -> list[str]:
        """As the end of ``standfast cluster apply`` does it."""
        return settle(self.site, self.remotes, self.vault, lambda words: None, patience_s)

    def needs(self, patience_s: float = 4) -> list[str]:
        """What a person is asked to see to."""
        try:
            self.settle(patience_s)
        except Unsettled as error:
            return str(error).splitlines()
        return []

    def everywhere(self, statement: str) -> set[str | None]:
        """The different answers that the servers which run give to a question."""
        return {one.value(statement) for one in self.all.values() if one.process}

    def level(self, within_s: float = 60) -> None:
        """Until all that run have come as far as any."""
        until = time.monotonic() + within_s
        target = gtid.furthest(*(one.position for one in self.look().seen.values()))
        while not all(gtid.covers(one.position, target) for one in self.look().seen.values()):
            assert time.monotonic() < until, (target, self.look())
            time.sleep(0.1)

    def within(self, seconds: float, holds: Callable[[], object]) -> bool:
        """Whether it comes to hold within so many seconds."""
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def look(self) -> Observed:
        return observe(self.site, self.remotes)

    def stop(self) -> None:
        for machine in self.all.values():
            machine.kill()


def install(folder: Path) -> None:
    """Makes an empty data folder, as the package does it."""
    done = subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--skip-name-resolve",
            f"--user={getpass.getuser()}", "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={getpass.getuser()}", "--innodb-log-file-size=8M",
        ],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "TMPDIR": str(folder.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
