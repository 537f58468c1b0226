"""What lies in a journal folder: the segments of each worker, and what does not belong there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from standfast.journal import files, identity
from standfast.journal.format import Header
from standfast.journal.reader import SegmentReader

from .bounds import MOST, clock_ns

#: Numbers up to this one are looked at when segments seem to be missing (see ``next_segment``).
_GAP = 1000
FAULT_LIMIT = 64 * 1024
#: What lies beside the segments.
_BESIDE = (files.FAULT_SUFFIX, files.LOADING_SUFFIX, files.OLD_STACK_SUFFIX)


class WorkerFiles(NamedTuple):
    """One worker's files: ``folder`` is its application's, ``numbers`` are its segments'."""

    folder: Path
    uid: str
    numbers: list[int]

    def segment(self, number: int) -> Path:
        """Where a segment lies."""
        return self.folder / files.segment_name(self.uid, number)

    @property
    def fault(self) -> Path:
        """Where the traceback of a fatal signal lies, if there is one."""
        return self.folder / (self.uid + files.FAULT_SUFFIX)

    @property
    def old_stack(self) -> Path:
        """Where the stacks lie that a recorder of an earlier version wrote."""
        return self.folder / (self.uid + files.OLD_STACK_SUFFIX)

    def next_segment(self, wanted: int) -> int | None:
        """The first segment from ``wanted`` on, or None.

        A listing that was made while files came may lack one and have a later one, so where
        ``wanted`` is not in it, the folder is asked again by name.
        """
        later = [number for number in self.numbers if number >= wanted]
        if not later:
            return None
        first = min(later)
        for number in range(max(wanted, first - _GAP), first):
            if os.path.lexists(self.segment(number)):
                return number
        return first


def scan(journal: str, warn: Callable[[str], None]) -> dict[tuple[str, str], WorkerFiles]:
    """All workers' files by (name of the application's folder, uid).

    Symbolic links are not followed and strange names are reported, never touched. Raises
    OSError where the folder itself cannot be read.
    """
    found: dict[tuple[str, str], WorkerFiles] = {}
    with os.scandir(journal) as entries:
        folders = [entry for entry in entries if not entry.name.startswith(".")]
    for folder in folders:
        if not folder.is_dir(follow_symlinks=False):
            warn(f"{folder.path}: not an application's folder; left alone")
            continue
        try:
            names = [file.name for file in Path(folder.path).iterdir()]
        except OSError as error:
            warn(f"{folder.path}: {error.strerror}; run the watcher as a user that may read it")
            continue
        for name in names:
            parsed = files.parse_segment_name(name)
            if parsed and parsed[1] < 2**32:
                uid, number = parsed
                key = (folder.name, uid)
                if key not in found:
                    found[key] = WorkerFiles(Path(folder.path), uid, [])
                found[key].numbers.append(number)
            elif not name.startswith(".") and not name.endswith(_BESIDE):
                warn(f"{folder.path}/{name}: not a journal; left alone")
    for worker in found.values():
        worker.numbers.sort()
    return found


def open_segment(worker: WorkerFiles, number: int, offset: int = 0) -> SegmentReader | str:
    """A reader whose header is sound and fits its place, or what is wrong with the file.

    The place counts: an application's folder may belong to that application's own user, who
    must not be able to write into the records of another.
    """
    try:
        reader = SegmentReader(str(worker.segment(number)), offset)
    except OSError as error:
        return error.strerror or str(error)
    header = reader.header
    if header is not None and _fits(header, worker, number):
        return reader
    reader.close()
    return "no sound header" if header is None else "its header belongs to another file"


def _fits(header: Header, worker: WorkerFiles, number: int) -> bool:
    who = identity.worker_uid(header.host, header.boot_id, header.pid, header.start_ticks)
    place = Path(files.app_folder("", header.app)).name
    return (
        (who, place, number) == (worker.uid, worker.folder.name, header.segment)
        and header.start_ticks <= MOST
        and header.pid_namespace <= MOST
        and bool(header.pid)
    )


def delete(path: Path, warn: Callable[[str], None]) -> bool:
    """Deletes a file; false, and a warning, where that is not allowed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warn(f"{path}: cannot be deleted ({error.strerror}); it has been stored, delete it by hand")
        return False
    return True


def read_fault(worker: WorkerFiles) -> tuple[str, int]:
    """The fatal-signal traceback and when it was written (ns); empty and 0 where there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(worker.fault, flags)
    except OSError:
        return "", 0
    try:
        text = os.pread(fd, FAULT_LIMIT, 0).decode("utf-8", "backslashreplace")
        # When it was written is its owner's word too: anybody may set the times of own files.
        return text.replace("\0", "\\0"), clock_ns(os.fstat(fd).st_mtime_ns) if text else 0
    except OSError:
        return "", 0
    finally:
        os.close(fd)
