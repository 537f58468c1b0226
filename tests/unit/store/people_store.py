"""A fresh store for each test of people; the migrations run once."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from sqlalchemy import Engine

from standfast.store import open_store

NOW_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
PASSWORD = "correct horse battery"


def new_store(folder: Path) -> Engine:
    """An empty store in ``folder``, with its tables up to date."""
    path = folder / "store.db"
    path.write_bytes(_empty())
    return open_store(str(path))


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        open_store(str(path)).dispose()
        return path.read_bytes()
