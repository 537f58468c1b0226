"""Starts a command so that every Python in it records: the work of ``standfast run``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Optional

from ..journal.files import make_folder
from . import unmet
from .hook.mark import REACHED

#: How long a command may take before it is said that no known server was met, in seconds;
#: STANDFAST_PATIENCE_S overrides it, so that tests need not take a minute.
PATIENCE_S = 60.0

#: The only folder that the command's Pythons get to see; it holds the hook and nothing else.
HOOK_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook", "site")


def launch(command: Sequence[str], variables: Mapping[str, str], journal: str) -> None:
    """Becomes ``command``, with ``variables`` and the hook in its environment.

    Does not return. Raises OSError where there is no such command or it may not be run.
    """
    environ = dict(os.environ, **variables)
    inherited = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = HOOK_FOLDER + (os.pathsep + inherited if inherited else "")
    mark = os.path.join(journal, f".run-{os.getpid()}")
    _sweep(journal)
    if _leave(mark):
        environ["STANDFAST_MARK"] = mark
        _watch_for(mark, command[0])
    try:
        os.execvpe(command[0], list(command), environ)  # noqa: S606 - running it is the point
    except OSError:
        _remove(mark)
        raise


def _leave(mark: str) -> bool:
    """Makes the file that the hook removes when it meets a server; False where it cannot."""
    try:
        make_folder(os.path.dirname(mark))
        fd = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            os.fchmod(fd, 0o622)  # the server's workers may be other users, see hook/mark.py
        os.close(fd)
    except OSError as error:
        print(
            f"standfast: cannot write to the journal folder: {error};"
            " the application runs on, unrecorded",
            file=sys.stderr,
        )
        return False
    return True


def _sweep(journal: str) -> None:
    """Removes what earlier commands have left behind that were killed with all of theirs."""
    try:
        for name in os.listdir(journal):
            pid = name.rpartition("-")[2]
            if name.startswith(".run-") and pid.isdigit() and not _is_running(int(pid)):
                _remove(os.path.join(journal, name))
    except OSError:
        pass  # there is no folder yet, or it is not ours to read


def _watch_for(mark: str, name: str) -> None:
    """Leaves a process behind that says once, if it comes to that, that no server was met.

    It is no child of the command, which may be a server that counts its children, and it ends
    with the command.
    """
    command_pid = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _wait_for_server(mark, name, command_pid)
    finally:
        os._exit(0)


def _wait_for_server(mark: str, name: str, command_pid: int) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    patience_s = float(os.environ.get("STANDFAST_PATIENCE_S", PATIENCE_S))
    began, said = time.monotonic(), False
    while (seen := _seen(mark)) is not None:
        ran_s = time.monotonic() - began
        if not _is_running(command_pid):
            _remove(mark)
            if not said and unmet.is_worth_saying(ran_s, patience_s, seen):
                os.write(2, unmet.message(name, ran_s, seen, over=True).encode())
            return
        if ran_s > patience_s and not said:
            said = True
            os.write(2, unmet.message(name, patience_s, seen).encode())
        time.sleep(0.2)
    _remove(mark)
    if said:
        os.write(2, f"standfast: {name} has loaded its application: it is recorded.\n".encode())


def _seen(mark: str) -> Optional[set[str]]:
    """The servers that the hook has seen imported, None where one has loaded its application."""
    try:
        with open(mark, encoding="utf-8", errors="replace") as lines:
            seen = set(lines.read(4096).split())
            return None if REACHED in seen else seen
    except OSError:
        return None


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state = stat.read().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    # Dead and not yet waited for is dead: whoever started it may wait for us to close stderr.
    return state not in (b"Z", b"X")


def _remove(mark: str) -> None:
    try:
        os.unlink(mark)
    except OSError:
        pass  # the hook was first
