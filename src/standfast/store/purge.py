"""Taking what was deleted off the disk: a database only marks its place as free."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from standfast.errors import StandfastError

#: How long others may hold the store before the attempt is given up, in seconds.
PATIENCE_S = 60.0


def purge(engine: Engine) -> list[Path]:
    """Writes the whole store again without what was deleted, and empties its log.

    Returns the files that it consists of, none where it is no file. Raises StandfastError where
    others hold it for too long, or the disk has no room for a second one.
    """
    if engine.dialect.name != "sqlite":
        return []
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            if not _rewrite(engine):
                break
            problem = "others are reading it"
        except sqlite3.OperationalError as error:
            problem = str(error)
            if "locked" not in problem and "busy" not in problem:
                raise StandfastError(
                    f"the rows are deleted, but the file still holds what they were: {problem};"
                    " mend that and run the command again"
                ) from error
        if time.monotonic() > give_up:
            raise StandfastError(
                f"the rows are deleted, but the file still holds what they were: {problem};"
                " run the command again when the store is less busy"
            )
        time.sleep(0.2)
    name = engine.url.database
    if not name or name == ":memory:":
        return []
    return [path for path in (Path(name), Path(f"{name}-wal")) if path.exists()]


def _rewrite(engine: Engine) -> bool:
    """Whether somebody was in the way. VACUUM takes no transaction, so this goes to the driver."""
    with closing(engine.raw_connection()) as pooled:
        sqlite: Any = pooled.driver_connection
        sqlite.execute("VACUUM")
        (busy, *_) = sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return bool(busy)
