"""The processes that peers run in: their own Python, and an environment with nothing inherited."""

from __future__ import annotations

import os
from pathlib import Path

from .peers import Peer, Place

ROOT = Path(__file__).resolve().parent.parent


def command(python: Path, peer: Peer, module: str, *arguments: str) -> list[str]:
    """What starts ``python -m module`` for a peer."""
    launcher = [str(python.parent / peer.launcher[0]), *peer.launcher[1:]] if peer.launcher else []
    return [*launcher, str(python), "-m", module, *arguments]


def environ(python: Path, peer: Peer, place: Place) -> dict[str, str]:
    """A small environment: no proxy, no setting of the owner's, a home that goes away."""
    return {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": place.folder,
        "TMPDIR": place.folder,
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **peer.environ_at(place),
    }
