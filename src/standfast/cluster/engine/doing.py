"""How a step is carried out where it is not so yet."""

from __future__ import annotations

import posixpath
from shlex import quote

from pyinfra.operations import apt, files, server, systemd

from ..steps import (
    Absent,
    Command,
    Directory,
    File,
    KeyPair,
    Packages,
    Step,
    Unit,
    Updates,
    User,
)
from .looking import FETCHED, pending
from .session import Session

#: A new server often installs updates on its own just then: that is waited for, in seconds.
_WAIT = "-o DPkg::Lock::Timeout=300"


def do(session: Session, step: Step) -> None:
    """Carries one step out. Raises EngineError."""
    match step:
        case Updates():
            session.do(apt.update)
            session.do(apt.upgrade)
            session.shell(f"mkdir -p {posixpath.dirname(FETCHED)} && touch {FETCHED}")
        case Packages():
            session.do(
                apt.packages, list(step.names), present=not step.absent, purge=step.absent,
                extra_install_args=_WAIT, extra_uninstall_args=_WAIT,
            )  # fmt: skip
        case User():
            session.do(
                server.user, step.name, home=step.home, shell=step.shell,
                groups=list(step.groups), system=step.system, create_home=True, append=True,
            )  # fmt: skip
        case KeyPair():
            words = f"ssh-keygen -q -t ed25519 -N '' -C {quote(step.user)} -f {quote(step.path)}"
            session.shell(f"runuser -u {quote(step.user)} -- {words}")
        case Directory():
            session.do(
                files.directory, step.path,
                user=step.owner, group=step.group, mode=f"{step.mode:o}",
            )  # fmt: skip
        case File():
            _write(session, step)
        case Absent():
            session.shell(f"{_mark(step)} rm -f {quote(step.path)}")
        case Unit():
            if step.running:
                session.shell(unmask(step.name))
            session.do(systemd.service, step.name, running=step.running, enabled=step.running)
        case Command():
            session.shell(step.command)


def unmask(unit: str) -> str:
    """A command after which a unit can be started, whoever masked it."""
    return f"systemctl -q unmask {quote(unit)}; systemctl -q unmask --runtime {quote(unit)}"


def tell(session: Session, unit: str, reload: bool) -> None:
    """Makes a unit take notice of files that have changed, and forgets the mark."""
    if session.tries(f"systemctl -q is-active {quote(unit)}")[0]:
        session.do(systemd.service, unit, reloaded=reload, restarted=not reload)
    session.shell(f"rm -f {quote(pending(unit))}")


def stage(step: File, place: str) -> str:
    """A script that writes a file's text, which it is given, to a place beside its own, with the
    owner and mode that it shall have, and checks it there. Where it fails it leaves nothing.

    Not by pyinfra's ``files.put``: that lays the text down in /tmp first, where others could read
    it, and does not change a file in one step.
    """
    new = quote(place)
    # Where the line broke meanwhile, the input ends as if that were all.
    whole = f'test "$(stat -c %s {new})" = {len(step.text.encode())}'
    check = f"&& {step.check.replace('%s', new)}" if step.check else ""
    return (
        # Made here and now: whoever owns the folder may have left a link of that name.
        f"umask 077; rm -f {new}; set -C; cat >{new} && {whole}"
        f" && chown {quote(f'{step.owner}:{step.group}')} {new}"
        f" && chmod {step.mode:o} {new} {check}"
        f" || {{ s=$?; rm -f {new}; exit $s; }}"
    )


def _write(session: Session, step: File) -> None:
    # A name that no program takes for a part of its configuration.
    folder, name = posixpath.split(step.path)
    new = posixpath.join(folder, f".{name}.standfast-new")
    move = f"{_mark(step)} mv -f {quote(new)} {quote(step.path)}"
    session.shell(f"{stage(step, new)}\n{move}", step.text)


def _mark(step: File | Absent) -> str:
    if step.tells is None:
        return ""
    mark = quote(pending(step.tells))
    return f"mkdir -p {quote(posixpath.dirname(pending(step.tells)))} && touch {mark} &&"
