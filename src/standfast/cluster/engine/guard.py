"""Changes that could lock everybody out: they undo themselves unless one can log in anew.

All is laid ready on the server first. Then one script there does the change, having set a timer
of systemd that undoes it; only a login by the way in that shall hold from now on stops the timer.
Whatever happens to this machine or to the line meanwhile, the server is reachable in the end; also
where it is booted while the timer runs, which a timer does not live through.
"""

from __future__ import annotations

import posixpath
import time
from shlex import quote
from uuid import uuid4

from ..remote import Login, Remote, RemoteError
from ..steps import Absent, Command, File, Guarded, Unit
from .change import EngineError
from .doing import stage, unmask
from .session import Session

_PLACE = "/var/lib/standfast-engine/guard"
_UNDO = "standfast-undo"
_CHANGE = "standfast-change"
#: Stays installed: what was neither proven nor undone when the server went down is undone.
_AT_BOOT = f"""\
[Unit]
Description=Undoes a change of SSH or firewall that nobody has proven
ConditionPathExists={_PLACE}/armed
ConditionPathExists=!{_PLACE}/undone
After=ssh.service nftables.service
[Service]
Type=oneshot
ExecStart=/bin/sh {_PLACE}/undo.sh
[Install]
WantedBy=multi-user.target
"""
_AT_BOOT_UNIT = "standfast-undo-at-boot.service"
_PAUSE_S = 0.5
#: So long before the timer strikes no more login is tried.
_MARGIN_S = 3.0


def carry_out(session: Session, step: Guarded, before: Login, after: Login) -> None:
    """Does a guarded step and proves it. Raises EngineError where it was undone."""
    if session.tries(f"systemctl -q is-active {_UNDO}.timer {_UNDO}.service")[0]:
        raise EngineError(
            f"{session.name}: an earlier change of '{step.title}' is about to be undone;"
            f" wait {step.undo_s} s and run it again"
        )
    session.shell(f"rm -rf {_PLACE}; umask 077; mkdir -p {_PLACE}")
    for number, each in enumerate(step.steps):
        if isinstance(each, File):
            session.shell(stage(each, f"{_PLACE}/new-{number}"), each.text)
    done = f"done-{uuid4().hex}"
    session.shell(f"cat >{_PLACE}/change.sh", _change(step, done))
    session.shell(f"cat >{_PLACE}/undo.sh", _undo(step))
    session.shell(
        f"umask 022; cat >/etc/systemd/system/{_AT_BOOT_UNIT}"
        f" && systemctl -q daemon-reload && systemctl -q enable {_AT_BOOT_UNIT}",
        _AT_BOOT,
    )
    began_s = time.monotonic()
    # By itself, as the line over which it is told may not live through it.
    session.shell(f"systemd-run -q --collect --unit={_CHANGE} sh {_PLACE}/change.sh")
    if _proven(after, done, began_s + step.undo_s - _MARGIN_S):
        return
    _wait_for_undo(session.name, step, before, began_s)


def _proven(after: Login, done: str, until_s: float) -> bool:
    """Whether one could log in, and had the timer stopped before it struck.

    A login that was under way during the change proves nothing: a firewall may let go on what it
    would not let begin. So the one that counts begins once another has seen that all is done. Its
    command names this very change: one that a firewall held up may arrive when it is long undone,
    and the next one has begun.
    """
    new = Remote(after)
    seen = f"test -e {_PLACE}/{done}"
    stop = (
        f"{seen} && systemctl stop {_UNDO}.timer && ! test -e {_PLACE}/undoing && rm -rf {_PLACE}"
    )
    while time.monotonic() < until_s:
        try:
            for script in (seen, stop):
                new.run(script, kept=False, timeout_s=max(until_s - time.monotonic(), 1.0))
        except RemoteError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _wait_for_undo(name: str, step: Guarded, before: Login, began_s: float) -> None:
    """Waits until the server is as it was. Raises EngineError, with what happened."""
    old = Remote(before)
    until_s = began_s + step.undo_s + 30.0
    while time.monotonic() < until_s:
        try:
            told = f"cd {_PLACE}; cat undone refused failed 2>/dev/null; true"
            said = old.run(told, kept=False)
        except RemoteError:
            said = ""
        if said.startswith("refused"):
            raise EngineError(
                f"{name}: '{step.title}' could not be begun, and nothing was changed:"
                f" {said.removeprefix('refused').strip()}"
            )
        if "undone" in said:
            raise EngineError(
                f"{name}: '{step.title}' was undone, as it is not so that {step.proof}; the server"
                f" is as it was. {said.replace('undone', '').strip()}".strip()
            )
        time.sleep(_PAUSE_S)
    raise EngineError(
        f"{name}: nobody can log in after '{step.title}', and it has not undone itself:"
        " use the provider's console (docs/servers.md)"
    )


def _change(step: Guarded, done: str) -> str:
    refuse = "{ echo refused >refused; exit 1; }"
    lines = [f"exec 2>{_PLACE}/failed", f"cd {_PLACE} || exit 1"]
    for number, each in enumerate(step.steps):
        if isinstance(each, Unit):
            unit = quote(each.name)
            lines += [
                f"systemctl -q is-active {unit} && touch was-active-{number}",
                f"systemctl -q is-enabled {unit} && touch was-enabled-{number}",
                f"case $(systemctl is-enabled {unit}) in masked*) touch was-masked-{number};; esac",
            ]
        elif isinstance(each, File | Absent):
            path = quote(each.path)
            lines.append(f"if test -e {path}; then cp -a {path} old-{number} || {refuse}; fi")
    lines.append(
        f"systemd-run -q --collect --unit={_UNDO} --on-active={step.undo_s}"
        f" --timer-property=AccuracySec=100ms sh {_PLACE}/undo.sh || {refuse}"
    )
    # On the disk before anything is changed: it is what a boot looks for.
    lines.append("touch armed && sync -f . && sync -f old-* 2>/dev/null")
    told: dict[str, str] = {}
    for number, each in enumerate(step.steps):
        match each:
            case File():
                lines.append(_put(f"new-{number}", each.path))
            case Absent():
                lines.append(f"rm -f {quote(each.path)}")
            case Unit():
                words = "enable" if each.running else "disable"
                if each.running:
                    lines.append(unmask(each.name))
                lines.append(f"systemctl -q {words} --now {quote(each.name)}")
        if isinstance(each, File | Absent) and each.tells:
            told[each.tells] = "reload-or-restart" if each.reload else "restart"
    lines += [f"systemctl {how} {quote(unit)}" for unit, how in told.items()]
    lines += [
        f"if ! (\n{each.met}\n) >/dev/null; then {each.command}\nfi"
        for each in step.steps
        if isinstance(each, Command)
    ]
    lines.append(f"touch {done}")
    return "\n".join(lines) + "\n"


def _put(here: str, path: str) -> str:
    """A command that puts a file in its place in one step, never through a link that its folder's
    owner has laid there."""
    folder, name = posixpath.split(path)
    new = quote(posixpath.join(folder, f".{name}.standfast-new"))
    return f"rm -f {new}; cp -a {here} {new} && mv -fT {new} {quote(path)}"


def _undo(step: Guarded) -> str:
    lines = [f"cd {_PLACE} || exit 1", "touch undoing"]
    for number, each in enumerate(step.steps):
        if isinstance(each, File | Absent):
            old, path = f"old-{number}", quote(each.path)
            lines.append(
                f"if test -e {old} || test -L {old}; then {_put(old, each.path)};"
                f" else rm -f {path}; fi"
            )
    for number, each in enumerate(step.steps):
        if isinstance(each, Unit):
            unit = quote(each.name)
            lines += [
                f"if test -e was-enabled-{number}; then systemctl -q enable {unit};"
                f" else systemctl -q disable {unit}; fi",
                f"if test -e was-active-{number}; then systemctl start {unit};"
                f" else systemctl stop {unit}; fi",
                f"if test -e was-masked-{number}; then systemctl -q mask {unit}; fi",
            ]
    # Said at the end: who hears it may begin anew at once, in the same place.
    lines += [step.restore, "echo undone >undone"]
    return "\n".join(lines) + "\n"
