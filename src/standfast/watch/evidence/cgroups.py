"""Where a process is in the control groups of its host, versions 1 and 2."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60


def group_of(pid: int, controller: str) -> Path | None:
    """The folder of the group of ``controller`` (memory, pids) that a process is in."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    version_2 = None
    for line in lines:
        _, names, path = (line.split(":", 2) + ["", ""])[:3]
        if controller in names.split(","):
            found = _ROOT / controller / path.lstrip("/")
            return found if found.is_dir() else None
        if not names:
            version_2 = path.lstrip("/")
    if version_2 is None:
        return None
    found = _ROOT / version_2
    return found if (found / f"{controller}.max").exists() else None


def number_in(path: Path, name: str = "") -> int | None:
    """The number in a file, or behind ``name`` in a file of names and numbers; None without
    one, as where the file says ``max``."""
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if not name and len(words) == 1:
                return int(words[0])
            if name and len(words) == 2 and words[0] == name:
                return int(words[1])
    except (OSError, ValueError):
        pass
    return None


def memory_limit(group: Path) -> int | None:
    """The smallest limit of memory that holds in a group, in bytes."""
    found = []
    while group not in (_ROOT, _ROOT / "memory", Path("/")):
        for name in ("memory.limit_in_bytes", "memory.max"):
            limit = number_in(group / name)
            if limit is not None and limit < _UNLIMITED:
                found.append(limit)
        group = group.parent
    return min(found, default=None)


def memory_kills(group: Path) -> int | None:
    """How many processes of a group the kernel has killed for want of memory."""
    kills = number_in(group / "memory.events", "oom_kill")
    return number_in(group / "memory.oom_control", "oom_kill") if kills is None else kills
