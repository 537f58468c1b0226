"""Where segments lie: ``JOURNAL/APP/WORKER.NUMBER.journal``, and beside them
``WORKER.fault`` and ``WORKER.loading``."""

from __future__ import annotations

import errno
import os
import re
import stat
from urllib.parse import quote

from .identity import Identity, worker_uid

SUFFIX = ".journal"
FAULT_SUFFIX = ".fault"
#: There while a worker loads its application.
LOADING_SUFFIX = ".loading"
#: Written by earlier versions, and deleted with the worker's other files.
OLD_STACK_SUFFIX = ".stack"
#: Where journals lie that root's watcher reads.
SHARED_FOLDER = "/var/lib/standfast/journal"
_SEGMENT_NAME = re.compile(r"(?P<uid>[0-9]+-[0-9a-f]{8})\.(?P<number>[0-9]{6,})\.journal")


def make_folder(folder: str, for_all: bool = False) -> None:
    """Makes the folder of the journals, where it is not there, for this user alone.

    With ``for_all``, or where it is root's usual one, root makes it as /tmp is: each user's
    application makes a folder of its own in it, which no other user may remove. Changes the umask
    for a moment, so it is not for a process with threads. Raises OSError.
    """
    if os.path.isdir(folder):
        return
    if os.geteuid() != 0 or not (for_all or folder == SHARED_FOLDER):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return
    before = os.umask(0o022)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
        os.umask(0)
        os.mkdir(folder, 0o1777)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise
    finally:
        os.umask(before)


def _is_for_all(folder: str) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    shared = stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and status.st_mode & stat.S_ISVTX
    return bool(shared) and os.access(folder, os.W_OK | os.X_OK)


def app_folder(journal: str, app: str) -> str:
    """The folder of one application; its name is made safe for a path."""
    name = quote(app, safe="", errors="replace")[:200] or "_"
    return os.path.join(journal, "_" + name[1:] if name.startswith(".") else name)


def make_app_folder(folder: str) -> None:
    """Makes the folder of an application, where it is not there, for this user alone.

    Raises OSError, also where it is a symbolic link: in a folder for several users anybody may have
    made that, and one application's journals would lie, and give way, among another's.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if stat.S_ISLNK(os.lstat(folder).st_mode):
        raise OSError(errno.ENOTDIR, "an application's folder must be no symbolic link", folder)


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
    make_app_folder(folder)
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
    """Where journals lie when nobody says otherwise.

    That is STANDFAST_JOURNAL, or the folder that root's watcher has made for all users, or where
    there is none the user's own.
    """
    chosen = os.environ.get("STANDFAST_JOURNAL")
    if chosen:
        return chosen
    if os.getuid() == 0 or _is_for_all(SHARED_FOLDER):
        return SHARED_FOLDER
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "standfast", "journal")
