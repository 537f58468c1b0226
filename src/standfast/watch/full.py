"""Applications whose journals have reached their limit, as ``doctor`` tells of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from standfast.journal.format import SEGMENT_SIZE
from standfast.journal.limit import default_limit, parse_size
from standfast.journal.reader import SegmentReader

from .folder import open_segment, scan
from .started import Started


class Full(NamedTuple):
    """An application that has no room for another segment. ``lost`` requests of its workers went
    unrecorded, or were given up, as far as their journals say; sizes are in bytes."""

    app: str
    taken: int
    limit: int
    lost: int


def full(journal: str, here: Iterable[Started]) -> list[Full]:
    """Those of a journal folder; ``here`` are the processes that record into it.

    The limit is that of a running process, or the default where none says another one.
    """
    limits: dict[str, int] = {}
    for one in here:
        with suppress(ValueError):
            limit = parse_size(one.journal_limit)
            limits[one.app] = min(limits.get(one.app, limit), limit)
    lost: dict[str, int] = {}
    folders: dict[str, Path] = {}
    for worker in scan(journal, lambda _: None).values():
        segment = open_segment(worker, worker.numbers[-1]) if worker.numbers else ""
        if isinstance(segment, SegmentReader) and segment.header is not None:
            app = segment.header.app
            lost[app] = lost.get(app, 0) + segment.lost()
            folders[app] = worker.folder
            segment.close()
    found = []
    for app, folder in sorted(folders.items()):
        taken = _taken(folder)
        limit = limits.get(app) or default_limit(journal)
        if taken + SEGMENT_SIZE > limit:
            found.append(Full(app, taken, limit, lost[app]))
    return found


def _taken(folder: Path) -> int:
    """As the recorder counts: all that files there take."""
    taken = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                taken += found.st_blocks * 512 * stat.S_ISREG(found.st_mode)
    return taken
