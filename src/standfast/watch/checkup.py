"""Is everything in place? What ``standfast doctor`` says, and what to do about it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

from standfast.errors import StandfastError
from standfast.journal.reader import SegmentReader
from standfast.store import open_store

from .evidence import py_spy
from .folder import open_segment, scan
from .liveness import ALIVE, Liveness, Process
from .lock import is_watched
from .quarantine import set_aside

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


def check(journal: str, store: str) -> list[Finding]:
    """Looks at the folder, the recorder, the watcher, stacks and the store, in this order."""
    findings = _folder(journal)
    if all(finding.state != FAILED for finding in findings):
        findings += [
            _space(journal),
            *_recorder(journal),
            _watcher(journal),
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
    except OSError as error:
        advice = "run doctor as a user that may read it"
        return [Finding(subject, FAILED, f"{path}: {error.strerror}", advice)]
    if not stat.S_ISDIR(mode):
        advice = "name a folder with --journal"
        return [Finding(subject, FAILED, f"{path} is not a folder", advice)]
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        owner = path.stat().st_uid
        advice = f"run as user {owner}, to whom it belongs, or name another with --journal"
        return [Finding(subject, FAILED, f"{path} cannot be read and written", advice)]
    if mode & 0o007 and not mode & stat.S_ISVTX:
        advice = f"chmod o-rwx {path}: others may read or delete what was recorded"
        return [Finding(subject, ATTENTION, f"{path} is open to all users", advice)]
    return [Finding(subject, OK, str(path))]


def _space(journal: str) -> Finding:
    free = shutil.disk_usage(journal).free
    words = f"{free // 2**20:,} MiB free"
    if free < _SPACE_OUT:
        return Finding("space", FAILED, words, "make room: requests go unrecorded")
    if free < _SPACE_LOW:
        return Finding("space", ATTENTION, words, "make room before journals cannot grow")
    return Finding("space", OK, words)


def _recorder(journal: str) -> list[Finding]:
    liveness = Liveness(limit=0)
    servers: dict[tuple[str, str], int] = {}
    lost = damaged = 0
    for worker in scan(journal, lambda _: None).values():
        for number in worker.numbers:
            segment = open_segment(worker, number)
            if not isinstance(segment, SegmentReader) or segment.header is None:
                damaged += 1
                continue
            header = segment.header
            lost = max(lost, header.lost)
            segment.close()
        process = None
        if worker.numbers and not isinstance(segment, str):
            process = Process.of(header, segment.owner)
        if process and header.server and liveness.states([process])[process] == ALIVE:
            key = (header.app, header.server)
            servers[key] = servers.get(key, 0) + 1
    liveness.close()
    findings = [
        Finding("recorder", OK, f"{app}: {count} worker(s) of {server} are recorded")
        for (app, server), count in sorted(servers.items())
    ]
    waiting = [pid for pid in _started(journal) if Path(f"/proc/{pid}").exists()]
    for pid in waiting:
        advice = "is its server one that standfast knows? Else wrap the application by hand"
        findings.append(
            Finding("recorder", ATTENTION, f"process {pid} has met no server so far", advice)
        )
    if not findings:
        advice = "start the server with `standfast run -- CMD` and send it a request"
        findings.append(Finding("recorder", ATTENTION, "no worker is recorded now", advice))
    if lost:
        advice = "look at space and permissions above; the application ran on"
        findings.append(
            Finding("unrecorded", ATTENTION, f"{lost:,} requests of one worker", advice)
        )
    if damaged:
        advice = "move the files that `standfast watch` complains of out of the folder"
        findings.append(Finding("damaged", ATTENTION, f"{damaged} unreadable file(s)", advice))
    return findings


def _started(journal: str) -> list[int]:
    """The processes that ``standfast run`` has started and that have met no server."""
    names = (path.name.removeprefix(".run-") for path in Path(journal).glob(".run-*"))
    return [int(name) for name in names if name.isdigit()]


def _watcher(journal: str) -> Finding:
    unread = sum(path.stat().st_blocks * 512 for path in Path(journal).glob("*/*.journal"))
    words = f"{unread // 2**20:,} MiB of journals"
    pid = is_watched(journal)
    if pid is not None:
        return Finding("watcher", OK, f"running as process {pid or 'unknown'}; {words}")
    state = FAILED if unread > _BACKLOG else ATTENTION
    return Finding("watcher", state, f"not running; {words}", "start `standfast watch`")


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
    try:
        open_store(store, create=False).dispose()
    except StandfastError as error:
        return Finding("store", FAILED, str(error), "`standfast watch` makes it")
    return Finding("store", OK, store)
