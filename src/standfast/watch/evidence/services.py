"""What systemd did to the service that a worker belongs to: stopped, restarted, reloaded.

systemd writes every job into the system's journal, with fields that a service cannot write there
itself: ``_PID`` is filled in by journald (systemd.journal-fields(7)). Who asked for the job is not
among them.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from standfast.store.evidence import SERVICE, Fact, Source
from standfast.watch.liveness import Process

from .collector import Death, Living

#: Which jobs concern a worker; a restart is stop and start in one.
_ACTIONS = {"stop": "stop", "restart": "restart", "try-restart": "restart", "reload": "reload"}
#: What systemd says of a service that did not stop in time (TimeoutStopSec), or that has run for as
#: long as it may (RuntimeMaxSec): the job, if there was one, may have come long before
#: (src/core/service.c, 219 to 257).
_STOPPED = re.compile(
    r"(?:\S{1,300}: )?(?:State '(?:stop|stop-sigterm|stop-sigkill|final-sigterm)' timed out\."
    r"|Service reached runtime time limit\.)"
)
#: How long before the last sign of life, and after the end, a job may have to do with it.
_BEFORE_S = 120
_AFTER_S = 10
#: journalctl runs beside the watcher, not oftener than this for one service.
_AGAIN_S = 0.4
_PATIENCE_S = 5.0
_MOST_BYTES = 1024 * 1024
_MOST_RUNNING = 8


@dataclass
class _Unit:
    """One service: the query that runs, if one does, and what the last one gave."""

    said: list[Fact] = field(default_factory=list)
    running: subprocess.Popen[bytes] | None = None
    output: IO[bytes] | None = None
    started: float = float("-inf")


class Services:
    """Knows the service of each worker and asks the journal about it after a death."""

    def __init__(
        self,
        command: str = "journalctl",
        running: Path = Path("/run/systemd/system"),
        proc: Path = Path("/proc"),
    ) -> None:
        """Does nothing where the folder ``running`` says that systemd does not (sd_booted(3))."""
        self._command = command
        self._proc = proc
        self._booted = running.is_dir()
        self._of: dict[Process, str | None] = {}
        self._units: dict[str, _Unit] = {}

    def look(self, living: Sequence[Living]) -> None:
        """Notes to which service new workers belong."""
        if self._booted:
            for worker in living:
                if worker.process not in self._of:
                    self._of[worker.process] = self._unit_of(worker.pid)

    def facts(self, death: Death) -> list[Fact]:
        """The jobs of its service around a death, as far as journalctl has told by now."""
        name = self._of.get(death.process)
        if name is None:
            return []
        unit = self._units.setdefault(name, _Unit())
        _collect(unit, name)
        if unit.running is None and time.monotonic() >= unit.started + _AGAIN_S:
            self._ask(unit, name, death.alive_ns)
        first = death.alive_ns - _BEFORE_S * 1_000_000_000
        last = death.died_ns + _AFTER_S * 1_000_000_000
        return [fact for fact in unit.said if first <= fact.at_ns <= last]

    def forget(self, death: Death) -> None:
        """Drops a service of which no worker is left."""
        name = self._of.pop(death.process, None)
        if name is not None and name not in self._of.values():
            _stop(self._units.pop(name, _Unit()))

    def close(self) -> None:
        """Ends what still runs."""
        for unit in self._units.values():
            _stop(unit)
        self._units.clear()

    def _unit_of(self, pid: int) -> str | None:
        try:
            return unit_in((self._proc / str(pid) / "cgroup").read_text(errors="replace"))
        except OSError:
            return None

    def _ask(self, unit: _Unit, name: str, alive_ns: int) -> None:
        if sum(other.running is not None for other in self._units.values()) >= _MOST_RUNNING:
            return
        since = alive_ns // 1_000_000_000 - _BEFORE_S
        # What systemd itself, process 1, wrote about this unit.
        command = [self._command, "--output=json", "--no-pager", "--quiet", f"--since=@{since}"]
        unit.started = time.monotonic()
        unit.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been read
        try:
            unit.running = subprocess.Popen(
                [*command, "_PID=1", f"UNIT={name}"],
                stdin=subprocess.DEVNULL,
                stdout=unit.output,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            _stop(unit)


def unit_in(cgroups: str) -> str | None:
    """The innermost service in the text of /proc/PID/cgroup, of cgroup v1 or v2 (cgroups(7))."""
    for line in cgroups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers in ("", "name=systemd"):
            services = [part for part in path.split("/") if part.endswith(".service")]
            if services:
                return services[-1]
    return None


def jobs_in(lines: Iterable[bytes], unit: str) -> list[Fact]:
    """The jobs that concern the workers of a unit, and stops without a job, in what
    ``journalctl --output=json`` writes."""
    found = []
    for line in lines:
        try:
            entry: Any = json.loads(line)
            at_ns = int(entry["__REALTIME_TIMESTAMP"]) * 1000
            if entry["_PID"] != "1" or entry["UNIT"] != unit:
                continue
            text = entry["MESSAGE"]
            if isinstance(text, list):  # bytes that are no text
                text = bytes(text).decode("utf-8", "backslashreplace")
            action = _ACTIONS.get(entry.get("JOB_TYPE"))
            if action is None and _STOPPED.match(text):
                action = "stop"
            if action is None:
                continue
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        data = {"action": action, "unit": unit}
        found.append(Fact(SERVICE, Source.SYSTEMD, at_ns, str(text), data))
    return found


def _collect(unit: _Unit, name: str) -> None:
    """Takes in what a query gave, if it has come to its end or has taken too long."""
    if unit.running is None or unit.output is None:
        return
    if unit.running.poll() is None:
        if time.monotonic() > unit.started + _PATIENCE_S:
            _stop(unit)
        return
    unit.output.seek(0)
    unit.said = jobs_in(unit.output.read(_MOST_BYTES).splitlines(), name)
    _stop(unit)


def _stop(unit: _Unit) -> None:
    if unit.running is not None:
        unit.running.kill()
        unit.running.wait()
        unit.running = None
    if unit.output is not None:
        unit.output.close()
        unit.output = None
