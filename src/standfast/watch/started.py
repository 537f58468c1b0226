"""The processes that ``standfast run`` has started, and theirs, as the kernel tells of them.

Their environment says where they record to. It is their own word and their users', so it decides
nothing but what ``doctor`` says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: What ``standfast run`` puts on PYTHONPATH, and nobody else.
_HOOK = b"standfast/record/hook/site"
#: A process that Python itself starts beside a server's workers, and that serves nothing.
_HELPER = b"multiprocessing.resource_tracker"
#: An environment is read up to here, in bytes.
_READ_LIMIT = 128 * 1024


class Started(NamedTuple):
    """A process under ``standfast run``. ``program`` is the file that it executes."""

    pid: int
    parent: int
    uid: int
    app: str
    journal: str
    program: str
    journal_limit: str = ""


def started() -> list[Started]:
    """All those of which this user may know: root of everybody's, others of their own."""
    return list(_started())


def waiting(processes: list[Started], recorded: set[int]) -> list[Started]:
    """Workers of a server that have no journal yet, as they have served no request.

    A worker that was forked runs the program of its parent, which runs under us too.
    """
    by_pid = {one.pid: one for one in processes}
    parents = {one.parent for one in processes}
    return [
        one
        for one in processes
        if one.pid not in recorded
        and one.pid not in parents
        and one.parent in by_pid
        and by_pid[one.parent].program == one.program
    ]


def _started() -> Iterator[Started]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            with (folder / "environ").open("rb") as file:
                environ = file.read(_READ_LIMIT)
            if _HOOK not in environ or _HELPER in (folder / "cmdline").read_bytes():
                continue
            variables = [one.partition("=") for one in os.fsdecode(environ).split("\0")]
            texts = {name: value for name, _, value in variables}
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if "STANDFAST_JOURNAL" in texts and fields[0] not in (b"Z", b"X"):
                yield Started(
                    pid=int(folder.name),
                    parent=int(fields[1]),
                    uid=folder.stat().st_uid,
                    app=texts.get("STANDFAST_APP", ""),
                    journal=texts["STANDFAST_JOURNAL"],
                    program=str((folder / "exe").readlink()),
                    journal_limit=texts.get("STANDFAST_JOURNAL_LIMIT", ""),
                )
        except OSError:
            continue  # it has ended, or is not ours to look at
