"""The Python interpreters on this machine, for tests that an application may use any of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

_WHO_ARE_YOU = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


@cache
def find_interpreter(version: str) -> Path | None:
    """The interpreter of ``version`` ("3.9"), from PATH or pyenv; None if there is none.

    The running interpreter stands for its own version. Every other candidate is run once, since a
    name on PATH may be a shim with no interpreter behind it.
    """
    if version == RUNNING:
        return Path(sys.executable)
    for folder in os.get_exec_path():
        if found := _proven(Path(folder, f"python{version}"), version):
            return found
    prefix = _answer("pyenv", "prefix", version) if shutil.which("pyenv") else None
    return _proven(Path(prefix[0], "bin", "python"), version) if prefix else None


def _proven(candidate: Path, version: str) -> Path | None:
    """Where ``candidate`` says it is, if it runs and says it is ``version``."""
    answer = _answer(str(candidate), "-c", _WHO_ARE_YOU) if candidate.exists() else None
    return Path(answer[1]) if answer and answer[0] == version else None


def _answer(*command: str) -> list[str] | None:
    """The lines that ``command`` prints, or None if it fails or prints none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.splitlines() or None) if done.returncode == 0 else None
