"""What of a step is not so yet on a server: nothing, or a change."""

from __future__ import annotations

import base64
import difflib
import hashlib
from shlex import quote
from typing import Any

from pyinfra.facts import deb, files, systemd

from ..steps import (
    Absent,
    Command,
    Directory,
    File,
    Guarded,
    KeyPair,
    Packages,
    Step,
    Unit,
    Updates,
    User,
)
from .change import HIDDEN, Change
from .session import Session

#: Which packages wait, by the lists that the server has.
_WAITING = "apt-get -qq --simulate --option Debug::NoLocking=true upgrade | sed -n 's/^Inst //p'"
#: When the lists were fetched; older than a day they tell too little.
FETCHED = "/var/lib/standfast-engine/lists-fetched"
_OLD_LISTS = f'test -z "$(find {FETCHED} -mtime -1 2>/dev/null)"'


def look(session: Session, step: Step) -> Change | None:
    """The change that a step is; None where the server is as it says."""
    match step:
        case Updates():
            found = _updates(session)
        case Packages():
            found = _packages(session, step)
        case User():
            found = _user(session, step)
        case KeyPair():
            there = session.fact(files.File, step.path)
            found = None if there else (f"a key pair for {step.user}", None)
        case Directory():
            found = _directory(session, step)
        case File():
            found = _file(session, step)
        case Absent():
            found = _absent(session, step)
        case Unit():
            found = _unit(session, step)
        case Command():
            found = _command(session, step)
        case Guarded():
            return _guarded(session, step)
    return Change(session.name, found[0], step.why, found[1], about(step)) if found else None


def about(step: Step) -> str:
    """Which thing a step is about, whatever of it is not so."""
    match step:
        case Updates():
            return "updates"
        case Packages():
            return f"packages {'removed' if step.absent else 'installed'}: {', '.join(step.names)}"
        case User() | Unit():
            return f"{type(step).__name__.lower()} {step.name}"
        case KeyPair() | Directory() | File() | Absent():
            return f"{type(step).__name__.lower()} {step.path}"
        case Command() | Guarded():
            return step.title


Found = tuple[str, str | None] | None


def _updates(session: Session) -> Found:
    if session.tries(_OLD_LISTS)[0]:
        return "the lists of packages are fetched, and updates installed", None
    waiting = [line.split()[0] for line in session.shell(_WAITING).splitlines() if line.strip()]
    if not waiting:
        return None
    shown = ", ".join(waiting[:4]) + (", …" if len(waiting) > 4 else "")
    return f"{len(waiting)} update{'s' * (len(waiting) > 1)}: {shown}", None


def _packages(session: Session, step: Packages) -> Found:
    installed = session.fact(deb.DebPackages)
    wrong = [name for name in step.names if (name in installed) == step.absent]
    if not wrong:
        return None
    return f"{', '.join(wrong)} {'removed' if step.absent else 'installed'}", None


def _user(session: Session, step: User) -> Found:
    # Not by pyinfra's fact of all users: it takes a second, for the last login of each.
    name = quote(step.name)
    known, said = session.tries(f"getent passwd {name} && id -Gn {name}")
    if not known:
        return f"user {step.name}", None
    line, groups = said.splitlines()[:2]
    home, shell = line.split(":")[-2:]
    wrong = [
        words
        for words, is_wrong in (
            (f"home {step.home}", home != step.home),
            (f"shell {step.shell}", shell != step.shell),
            (f"in {', '.join(step.groups)}", not set(step.groups) <= set(groups.split())),
        )
        if is_wrong
    ]
    return (f"user {step.name}: {'; '.join(wrong)}", None) if wrong else None


def _command(session: Session, step: Command) -> Found:
    met, said = session.tries(step.met)
    return None if met else (step.title, said.rstrip() or None)


def _directory(session: Session, step: Directory) -> Found:
    known = session.fact(files.Directory, step.path)
    if not known:
        return f"directory {step.path}", None
    wrong = _rights(step, known)
    return (f"directory {step.path}: {wrong}", None) if wrong else None


def _file(session: Session, step: File) -> Found:
    known = session.fact(files.File, step.path)
    if not known:
        return f"file {step.path}", _diff(step, [])
    if session.fact(files.Sha256File, step.path) != hashlib.sha256(step.text.encode()).hexdigest():
        # What may not be shown is not read either.
        return f"file {step.path}", _diff(step, [] if step.secret else _read(session, step.path))
    if wrong := _rights(step, known):
        return f"file {step.path}: {wrong}", None
    return _untold(session, step)


def _absent(session: Session, step: Absent) -> Found:
    if session.fact(files.File, step.path) is not None:
        return f"{step.path} goes", None
    if step.brought_by and step.brought_by not in session.fact(deb.DebPackages):
        return f"{step.path} goes, once {step.brought_by} has brought it", None
    return _untold(session, step)


def _untold(session: Session, step: File | Absent) -> Found:
    """An earlier run ended between the file and the unit that it tells."""
    if step.tells and session.fact(files.File, pending(step.tells)):
        return f"{step.tells} is told of {step.path}", None
    return None


def _read(session: Session, path: str) -> list[str]:
    """Its lines, of whatever bytes: pyinfra's own fact is for UTF-8 alone."""
    text = base64.b64decode(session.tries(f"base64 -w0 {quote(path)}")[1])
    return text.decode(errors="replace").splitlines()


def pending(unit: str) -> str:
    """The mark that a unit has not been told yet of a file that changed."""
    return f"/var/lib/standfast-engine/pending-{unit}"


def _rights(step: File | Directory, known: dict[str, Any]) -> str:
    wrong = []
    if (known["user"], known["group"]) != (step.owner, step.group):
        wrong.append(f"owner {step.owner}:{step.group}")
    # pyinfra gives the mode as digits: 644.
    if int(str(known["mode"]), 8) != step.mode:
        wrong.append(f"mode {step.mode:o}")
    return ", ".join(wrong)


def _diff(step: File, before: list[str]) -> str:
    if step.secret:
        return HIDDEN
    after = step.text.splitlines()
    lines = difflib.unified_diff(before, after, step.path, step.path, lineterm="")
    return "\n".join(lines)


def _unit(session: Session, step: Unit) -> Found:
    name = step.name if "." in step.name else f"{step.name}.service"
    runs = bool(session.fact(systemd.SystemdStatus).get(name))
    enabled = bool(session.fact(systemd.SystemdEnabled).get(name))
    if step.running:
        return None if runs and enabled else (f"{step.name} runs, now and after a boot", None)
    return (f"{step.name} does not run any more", None) if runs or enabled else None


def _guarded(session: Session, step: Guarded) -> Change | None:
    """All of it is one change: it is carried out, or undone, as a whole."""
    inner = [change for each in step.steps if (change := look(session, each))]
    if not inner:
        return None
    titles = "; ".join(change.title for change in inner)
    diffs = [change.diff for change in inner if change.diff]
    why = f"undone after {step.undo_s} s unless {step.proof}"
    diff = "\n".join(diffs) or None
    parts = tuple(change.about for change in inner)
    return Change(session.name, f"{step.title}: {titles}", why, diff, about(step), parts)
