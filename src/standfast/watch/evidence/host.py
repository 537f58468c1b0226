"""The host at the time of a death: memory, load, clock, and whether it was started anew."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from standfast.journal import identity
from standfast.store.evidence import CLOCK_JUMP, HOST_MEMORY, HOST_RESTART, LOAD, Fact, Source

from .collector import Death, Living

#: The load per processor, and the share of time that went to other guests, that are worth a word.
HIGH_LOAD = 2.0
HIGH_STEAL = 0.1
#: By how much the wall clock must have moved, and how long before a death it still matters.
JUMP_S = 0.5
_JUMP_MATTERS_S = 120.0
#: A moment tells of a death that came so many seconds after it, or sooner.
NEAR_S = 10.0
#: Moments kept: ten minutes at two a second.
_KEPT = 1200
_MIB = 2**20


class _Moment(NamedTuple):
    at_ns: int
    available_bytes: int
    total_bytes: int
    pressure: float
    load_1m: float
    steal_share: float


class Host:
    """Looks at the host as a whole."""

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque(maxlen=_KEPT)
        self._jumps: deque[tuple[int, float]] = deque(maxlen=20)
        self._cpu = (0, 0)
        self._offset_ns = _wall_offset_ns()
        self._boot_id = identity.boot_id()
        self._processors = os.cpu_count() or 1

    def look(self, living: Sequence[Living]) -> None:
        """Notes the state of the host, and whether its wall clock has moved."""
        offset_ns = _wall_offset_ns()
        jump_s = (offset_ns - self._offset_ns) / 1e9
        if abs(jump_s) >= JUMP_S:
            self._jumps.append((time.time_ns(), jump_s))
        self._offset_ns = offset_ns
        memory = _fields("/proc/meminfo")
        cpu = _cpu_times()
        total = cpu[0] - self._cpu[0]
        steal = (cpu[1] - self._cpu[1]) / total if self._cpu[0] and total > 0 else 0.0
        self._cpu = cpu
        self._moments.append(
            _Moment(
                time.time_ns(),
                memory.get("MemAvailable", 0) * 1024,
                memory.get("MemTotal", 0) * 1024,
                _pressure(),
                os.getloadavg()[0],
                max(steal, 0.0),
            )
        )

    def facts(self, death: Death) -> list[Fact]:
        """What the host was like just before the death."""
        if death.process.boot_id and self._boot_id not in ("", death.process.boot_id):
            return [self._restart(death.process.boot_id)]
        early_ns = death.died_ns - int(NEAR_S * 1e9)
        before = [one for one in self._moments if early_ns <= one.at_ns <= death.died_ns]
        found = [] if not before else [self._memory(before[-1]), *self._load(before[-1])]
        for at_ns, jump_s in self._jumps:
            if 0 <= death.died_ns - at_ns <= _JUMP_MATTERS_S * 1e9:
                words = f"the wall clock was moved by {jump_s:+.1f} s"
                found.append(Fact(CLOCK_JUMP, Source.CLOCKS, at_ns, words, {"jump_s": jump_s}))
        return found

    def forget(self, death: Death) -> None:
        """Nothing is kept of single workers."""

    def close(self) -> None:
        """Nothing is held open."""

    def _restart(self, old: str) -> Fact:
        booted_ns = _fields("/proc/stat").get("btime", 0) * 1_000_000_000
        words = f"the host has been started anew: its boot id is {self._boot_id}, and was {old}"
        data = {"old_boot_id": old, "booted_ns": booted_ns}
        return Fact(HOST_RESTART, Source.BOOT_ID, booted_ns, words, data)

    def _memory(self, moment: _Moment) -> Fact:
        words = (
            f"{moment.available_bytes // _MIB} of {moment.total_bytes // _MIB} MiB were available,"
            f" all tasks had waited for memory {moment.pressure:g} % of the last ten seconds"
        )
        data = {
            "available_bytes": moment.available_bytes,
            "total_bytes": moment.total_bytes,
            "pressure_full_avg10": moment.pressure,
        }
        return Fact(HOST_MEMORY, Source.MEMINFO, moment.at_ns, words, data)

    def _load(self, moment: _Moment) -> list[Fact]:
        if moment.load_1m < HIGH_LOAD * self._processors and moment.steal_share < HIGH_STEAL:
            return []
        words = (
            f"the load was {moment.load_1m:.1f} on {self._processors} processors,"
            f" {moment.steal_share:.0%} of their time went to other guests of the machine"
        )
        data = {
            "load_1m": moment.load_1m,
            "processors": self._processors,
            "steal_share": moment.steal_share,
        }
        return [Fact(LOAD, Source.LOADAVG, moment.at_ns, words, data)]


def _wall_offset_ns() -> int:
    """The wall clock less one that nobody sets, and that goes on while the host sleeps."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _fields(path: str) -> dict[str, int]:
    """Names and first numbers of a file such as /proc/meminfo."""
    found = {}
    try:
        for line in Path(path).read_text().splitlines():
            words = line.replace(":", " ").split()
            if len(words) > 1 and words[1].isdigit():
                found[words[0]] = int(words[1])
    except OSError:
        pass
    return found


def _cpu_times() -> tuple[int, int]:
    """All ticks of all processors, and those that other guests had (proc(5), stat)."""
    try:
        line = Path("/proc/stat").read_text().partition("\n")[0].split()
        ticks = [int(word) for word in line[1:9]]
        return sum(ticks), ticks[7]
    except (OSError, ValueError, IndexError):
        return 0, 0


def _pressure() -> float:
    """The share of the last ten seconds in which all tasks waited for memory, in percent."""
    try:
        for line in Path("/proc/pressure/memory").read_text().splitlines():
            if line.startswith("full avg10="):
                return float(line.split()[1].partition("=")[2])
    except (OSError, ValueError, IndexError):
        pass
    return 0.0
