"""Is everything in place? What ``standfast doctor`` says, and what to do about it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from standfast.errors import StandfastError
from standfast.journal.files import SHARED_FOLDER, SUFFIX
from standfast.journal.reader import SegmentReader
from standfast.store import open_store
from standfast.store.queries import applications

from .evidence import py_spy
from .folder import open_segment, scan
from .full import full
from .liveness import ALIVE, Liveness, Process
from .loading import LONG_S, Loading, loading
from .lock import LOCK_NAME, is_watched
from .quarantine import set_aside
from .rights import may_record
from .started import Started, started, waiting

OK = "ok"
ATTENTION = "attention"
FAILED = "failed"

#: Every worker reserves segments of 4 MiB; with less than this free, new ones soon fail.
_SPACE_LOW = 256 * 1024 * 1024
_SPACE_OUT = 8 * 1024 * 1024
#: More than this unread, and no watcher at work, is a backlog.
_BACKLOG = 64 * 1024 * 1024
#: So many files that are set aside are named.
_MOST_ASIDE = 10


class Finding(NamedTuple):
    """One thing looked at. ``advice`` says what to do where ``state`` is not ok."""

    subject: str
    state: str
    words: str
    advice: str = ""


def check(journal: str, store: str, user: str | None = None) -> list[Finding]:
    """Looks at the folder, the recorder, the watcher, stacks and the store, in this order.

    ``user`` names whom the application runs as; without it, root looks for the applications that
    run. Raises StandfastError where there is no such user.
    """
    uids = set() if user is None else {_uid(user)}
    findings = _folder(journal)
    if all(finding.state != FAILED for finding in findings):
        processes = started()
        here = [one for one in processes if _same(one.journal, journal)]
        if os.geteuid() == 0:
            uids |= {one.uid for one in here}
            if _same(journal, SHARED_FOLDER):
                # Who cannot reach it records elsewhere.
                uids |= {one.uid for one in processes}
        recorder, at_work = _recorder(journal, here, store)
        findings += [
            *[_access(journal, uid) for uid in sorted(uids)],
            *_elsewhere(processes, here, journal),
            _space(journal),
            *_full(journal, here),
            *recorder,
            _watcher(journal, at_work),
            _stacks(),
            *_aside(journal),
        ]
    return [*findings, _store(store)]


def _folder(journal: str) -> list[Finding]:
    subject = "journal folder"
    path = Path(journal)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        advice = "start the application with `standfast run`, or name the folder with --journal"
        return [Finding(subject, FAILED, f"{path} does not exist", advice)]
    except (OSError, ValueError) as error:
        advice = "run doctor as a user that may read it, or name another with --journal"
        return [Finding(subject, FAILED, f"{path}: {_why(error)}", advice)]
    if not stat.S_ISDIR(mode):
        advice = "name a folder with --journal"
        return [Finding(subject, FAILED, f"{path} is not a folder", advice)]
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        owner = _name(path.stat().st_uid)
        advice = f"run as {owner}, to whom it belongs, or name another with --journal"
        return [Finding(subject, FAILED, f"{path} cannot be read and written", advice)]
    if mode & 0o007 and not mode & stat.S_ISVTX:
        advice = f"chmod o-rwx {path}: others may read or delete what was recorded"
        return [Finding(subject, ATTENTION, f"{path} is open to all users", advice)]
    return [Finding(subject, OK, str(path))]


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _space(journal: str) -> Finding:
    free = shutil.disk_usage(journal).free
    words = f"{free // 2**20:,} MiB free"
    if free < _SPACE_OUT:
        return Finding("space", FAILED, words, "make room: requests go unrecorded")
    if free < _SPACE_LOW:
        return Finding("space", ATTENTION, words, "make room before journals cannot grow")
    return Finding("space", OK, words)


def _full(journal: str, here: list[Started]) -> list[Finding]:
    advice = "start `standfast watch`, which deletes what it has stored; or raise journal_limit"
    return [
        Finding(
            "journal limit",
            FAILED,
            f"{one.app}: {one.taken // 2**20:,} of {one.limit // 2**20:,} MiB are used, so old"
            f" requests give way or new ones go unrecorded: {one.lost:,} so far",
            advice,
        )
        for one in full(journal, here)
    ]


def _uid(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError, OSError):
        raise StandfastError(f"there is no user {user!a} on this machine") from None


def _access(journal: str, uid: int) -> Finding:
    """Whether a user's application may record there, seen with that user's rights."""
    subject, name = "application's user", _name(uid)
    if os.geteuid() not in (0, uid):
        advice = f"run doctor as root, or as {name}"
        return Finding(subject, ATTENTION, f"what {name} may do, only root can tell", advice)
    if may_record(journal, uid):
        return Finding(subject, OK, f"{name} may record there")
    advice = f"chmod 1777 {journal}, and chmod a+x the folders above it: each application makes a"
    return Finding(
        subject, FAILED, f"{name} cannot make a folder there", f"{advice} folder of its own there"
    )


def _elsewhere(processes: list[Started], here: list[Started], journal: str) -> list[Finding]:
    """Applications that record into another folder than the one that all may record into."""
    if not _same(journal, SHARED_FOLDER):
        return []
    others = {(one.app, one.uid, one.journal) for one in processes if one not in here}
    advice = f"restart it, so that it records into {journal}, or name its folder with --journal"
    return [
        Finding("recorder", ATTENTION, f"{app} of {_name(uid)} records into {folder}", advice)
        for app, uid, folder in sorted(others)[:_MOST_ASIDE]
    ]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"user {uid}"


def _same(one: str, other: str) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):
        return False


def _recorder(journal: str, here: list[Started], store: str) -> tuple[list[Finding], bool]:
    """What is recorded, and whether anything is at work that should be."""
    liveness = Liveness(limit=0)
    servers: dict[tuple[str, str], int] = {}
    recorded: set[int] = set()
    lost = damaged = 0
    for worker in scan(journal, lambda _: None).values():
        process, header = None, None
        for number in worker.numbers:
            segment = open_segment(worker, number)
            if not isinstance(segment, SegmentReader) or segment.header is None:
                damaged += 1
                continue
            header = segment.header
            lost = max(lost, header.lost)
            process = Process.of(header, segment.owner)
            segment.close()
        if process and header and liveness.states([process])[process] == ALIVE:
            recorded.add(header.pid)
            if header.server:
                key = (header.app, header.server)
                servers[key] = servers.get(key, 0) + 1
    liveness.close()
    findings = [
        Finding("recorder", OK, f"{app}: {count} worker(s) of {server} are recorded")
        for (app, server), count in sorted(servers.items())
    ]
    at_start = loading(journal)
    unmet = [] if at_start else _unmet(journal)
    recorded.update(one.pid for one in at_start)
    quiet = Counter(one.app for one in waiting(here, recorded))
    if not unmet:
        findings += [
            Finding("recorder", OK, f"{app}: {count} worker(s) have served no request yet")
            for app, count in sorted(quiet.items())
        ]
    findings += [_loads(one) for one in at_start[:_MOST_ASIDE]]
    for pid in unmet:
        advice = "is its server one that standfast knows? Else wrap the application by hand"
        findings.append(
            Finding("recorder", ATTENTION, f"process {pid} has met no server so far", advice)
        )
    at_work = bool(findings)
    if not at_work and _was_recorded(store):
        findings.append(Finding("recorder", OK, "no application runs; some were recorded before"))
    elif not at_work:
        advice = "start the server with `standfast run -- CMD` and send it a request"
        findings.append(Finding("recorder", ATTENTION, "no worker is recorded now", advice))
    if lost:
        advice = "look at space, permissions, the watcher and journal_limit; the application ran on"
        findings.append(
            Finding("unrecorded", ATTENTION, f"{lost:,} requests of one worker", advice)
        )
    if damaged:
        advice = "move the files that `standfast watch` complains of out of the folder"
        findings.append(Finding("damaged", ATTENTION, f"{damaged} unreadable file(s)", advice))
    return findings, at_work


def _loads(worker: Loading) -> Finding:
    if worker.age_s < LONG_S:
        return Finding("recorder", OK, worker.words)
    advice = f"`py-spy dump --pid {worker.pid}` shows where it stands; no time-out may end it"
    return Finding("recorder", ATTENTION, worker.words, advice)


def _was_recorded(store: str) -> bool:
    try:
        engine = open_store(store, create=False)
    except StandfastError:
        return False
    try:
        return bool(applications(engine))
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def _unmet(journal: str) -> list[int]:
    """The processes that ``standfast run`` has started and that have met no server."""
    found = []
    for mark in Path(journal).glob(".run-*"):
        pid = mark.name.removeprefix(".run-")
        if pid.isdecimal() and len(pid) < 10:
            # In a folder for all users, anybody may make a file of this name.
            with suppress(OSError):
                if Path("/proc", pid).stat().st_uid == mark.lstat().st_uid:
                    found.append(int(pid))
    return sorted(found)


def _watcher(journal: str, at_work: bool) -> Finding:
    unread = sum(_size(app) for app in Path(journal).iterdir())
    words = f"{unread // 2**20:,} MiB of journals"
    pid = is_watched(journal)
    if pid is not None:
        return Finding("watcher", OK, f"running as process {pid or 'unknown'}; {words}")
    if not unread and not at_work and os.path.lexists(f"{journal}/{LOCK_NAME}"):
        return Finding("watcher", OK, "stopped, and nothing is left to read")
    state = FAILED if unread > _BACKLOG else ATTENTION
    return Finding("watcher", state, f"not running; {words}", "start `standfast watch`")


def _size(folder: Path) -> int:
    """What an application's journals take, in bytes; 0 for whatever else lies there."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return 0
        with os.scandir(folder) as entries:
            stats = [one.stat(follow_symlinks=False) for one in entries if one.name[-8:] == SUFFIX]
    except OSError:
        return 0
    return sum(one.st_blocks * 512 for one in stats if stat.S_ISREG(one.st_mode))


def _stacks() -> Finding:
    if why := py_spy.why_not():
        advice = "`pip install py-spy` beside standfast, or run the watcher as root"
        return Finding("stacks", ATTENTION, f"{why}: a hang will be told without one", advice)
    whose = "of any process" if os.geteuid() == 0 else "of this user's processes"
    return Finding("stacks", OK, f"{whose} can be read")


def _aside(journal: str) -> list[Finding]:
    """What the watcher could not read or store, file by file."""
    try:
        found = set_aside(journal)
    except PermissionError:
        return []  # the list is the watcher's own: others are not told of others' files
    advice = "the rest is watched; move the file out of the folder, or start a newer standfast"
    findings = [
        Finding("set aside", ATTENTION, f"{one.path}: {one.reason}", advice)
        for one in found[:_MOST_ASIDE]
    ]
    if len(found) > _MOST_ASIDE:
        words = f"and {len(found) - _MOST_ASIDE} more files"
        findings.append(Finding("set aside", ATTENTION, words, advice))
    return findings


def _store(store: str) -> Finding:
    path = None if "://" in store else Path(store)
    try:
        if path is not None and not stat.S_ISREG(path.stat().st_mode):
            advice = "name another store with --store"
            return Finding("store", FAILED, f"{path} is not a file", advice)
        if path is not None and not os.access(path, os.R_OK | os.W_OK):
            owner = _name(path.stat().st_uid)
            return Finding(
                "store", FAILED, f"{path} is there and not for this user", f"run doctor as {owner}"
            )
    except (FileNotFoundError, NotADirectoryError):
        advice = "`standfast watch` makes it, or name another one with --store"
        return Finding("store", FAILED, f"{store} does not exist", advice)
    except (OSError, ValueError) as error:
        advice = "run doctor as a user that may read it, or name another one with --store"
        return Finding("store", FAILED, f"{store}: {_why(error)}", advice)
    try:
        open_store(store, create=False, update=False).dispose()
    except StandfastError as error:
        words, _, advice = str(error).partition("; ")
        return Finding("store", FAILED, words, advice)
    return Finding("store", OK, store)
