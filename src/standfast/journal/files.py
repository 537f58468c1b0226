"""Where segments lie: ``JOURNAL/APP/WORKER.NUMBER.journal``, and beside them
``WORKER.fault``."""

from __future__ import annotations

import errno
import os
import re
from urllib.parse import quote

from .identity import Identity, worker_uid

SUFFIX = ".journal"
FAULT_SUFFIX = ".fault"
#: Written by earlier versions, and deleted with the worker's other files.
OLD_STACK_SUFFIX = ".stack"
_SEGMENT_NAME = re.compile(r"(?P<uid>[0-9]+-[0-9a-f]{8})\.(?P<number>[0-9]{6,})\.journal")


def app_folder(journal: str, app: str) -> str:
    """The folder of one application; its name is made safe for a path."""
    name = quote(app, safe="", errors="replace")[:200] or "_"
    return os.path.join(journal, "_" + name[1:] if name.startswith(".") else name)


def uid_of(identity: Identity) -> str:
    """The name of the worker's files."""
    return worker_uid(identity.host, identity.boot_id, identity.pid, identity.start_ticks)


def segment_name(uid: str, number: int) -> str:
    """The file name of a worker's segment; numbers start at 1."""
    return f"{uid}.{number:06d}{SUFFIX}"


def parse_segment_name(name: str) -> tuple[str, int] | None:
    """Worker and number from a file name, or None for any other file."""
    match = _SEGMENT_NAME.fullmatch(name)
    return (match["uid"], int(match["number"])) if match else None


def last_segment(folder: str, uid: str) -> int:
    """The highest number of the worker's segments that lie in ``folder``, or 0.

    Raises OSError where descriptors or memory are used up.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return 0
    parsed = [parse_segment_name(name) for name in names]
    return max((pair[1] for pair in parsed if pair and pair[0] == uid), default=0)


def create(folder: str, name: str, head: bytes, size: int) -> int:
    """A new file ``name`` of ``size`` reserved bytes that starts with ``head``; its descriptor.

    It gets its name only when it is whole, so a reader never meets half a header. The blocks
    are reserved, so that a full disk is met here and not as a SIGBUS in the application.
    Raises OSError, and leaves nothing behind, where the folder or the disk refuses.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    draft = os.path.join(folder, f".{name}.new")
    flags = (
        os.O_RDWR
        | os.O_CREAT
        | os.O_TRUNC
        | os.O_CLOEXEC
        | os.O_NOFOLLOW
        | os.O_APPEND * (not size)
    )
    fd = os.open(draft, flags, 0o600)
    try:
        if size:
            os.posix_fallocate(fd, 0, size)
        if os.write(fd, head) != len(head):
            raise OSError(28, "no space left for the header", draft)
        os.link(draft, path)
    except OSError:
        os.close(fd)
        raise
    finally:
        os.unlink(draft)
    return fd


def default_folder() -> str:
    """Where journals lie when nobody says otherwise: STANDFAST_JOURNAL, or the user's own place."""
    chosen = os.environ.get("STANDFAST_JOURNAL")
    if chosen:
        return chosen
    if os.getuid() == 0:
        return "/var/lib/standfast/journal"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "standfast", "journal")
