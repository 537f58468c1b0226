"""Standfast's own cost under every Python on this machine: how it was built matters."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from . import children, cost
from .peers import PEERS, Place

_PEER = "standfast"
_WHO_ARE_YOU = """
import json, platform, sys, sysconfig
how = sysconfig.get_config_var("CONFIG_ARGS") or ""
print(json.dumps([platform.python_version(), "--enable-optimizations" in how, sys.executable,
                  sys.version_info >= (3, 9) and platform.python_implementation() == "CPython"]))
"""


class Build(NamedTuple):
    """One Python; ``origin`` says in words who built it and how."""

    version: str
    origin: str
    python: Path


class Row(NamedTuple):
    """What Standfast costs under one Python, in microseconds."""

    build: Build
    wsgi_us: float
    asgi_us: float


def builds() -> list[Build]:
    """Every CPython from 3.9 on that is to be found, by version."""
    folders = [*map(Path, os.get_exec_path()), *Path.home().glob(".pyenv/versions/*/bin")]
    found = {}
    for path in [path for folder in folders for path in folder.glob("python3.[0-9]*")]:
        if not path.name.removeprefix("python3.").isdigit():
            continue
        try:
            asked = subprocess.run(
                [path, "-c", _WHO_ARE_YOU], capture_output=True, text=True, timeout=30, check=True
            )
            version, optimised, executable, fits = json.loads(asked.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
        if fits:
            file = Path(executable).resolve()
            own = "own build, optimised" if optimised else "own build, not optimised"
            origin = "the distribution's" if file.is_relative_to("/usr/bin") else own
            found[file] = Build(version, origin, file)
    return sorted(found.values(), key=lambda build: [*map(int, build.version.split(".")), 0])


def measure(seconds: float, say: Callable[[str], None]) -> list[Row]:
    """The cost under each of them; each is measured for about ``seconds`` per interface."""
    return list(_rows(seconds, say))


def _rows(seconds: float, say: Callable[[str], None]) -> Iterator[Row]:
    for build in builds():
        figures = {kind: _cost(build, kind, seconds) for kind in cost.KINDS}
        if all(figures.values()):
            say(f"Python {build.version}: {figures}")
            yield Row(build, figures["wsgi"], figures["asgi"])


def _cost(build: Build, kind: str, seconds: float) -> float:
    """The median in microseconds, 0 where it cannot be measured."""
    with tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder:
        environ = children.environ(build.python, PEERS[_PEER], Place(folder, "", ""))
        environ["PYTHONPATH"] = f"{children.ROOT}{os.pathsep}{children.ROOT / 'src'}"
        file = Path(folder) / "measured.json"
        words = (str(build.python), "-m", "benchmarks.load", _PEER, kind, str(seconds), str(file))
        try:
            subprocess.run(
                words, env=environ, cwd=children.ROOT, capture_output=True, timeout=seconds + 60,
                check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return 0.0
        rounds = json.loads(file.read_text())["rounds"]
    return round(cost.summary(_PEER, kind, "", rounds).median_us, 2)
