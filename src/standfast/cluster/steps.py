"""What a server shall be like, as a list of steps: data, which an engine looks at and carries out.

A step says what shall be, not what to do. Where a server is like that already there is nothing to
do. Steps are in order: a later one may need an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Updates:
    """The distribution's own updates are installed."""

    why: str


@dataclass(frozen=True)
class Packages:
    """These Debian packages are installed; ``absent`` says that they are not."""

    names: tuple[str, ...]
    why: str
    absent: bool = False


@dataclass(frozen=True)
class User:
    """A user of this name exists, without a password. ``system``: not a person."""

    name: str
    home: str
    why: str
    shell: str = "/bin/bash"
    groups: tuple[str, ...] = ()
    system: bool = False


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key pair, which is made on the server and whose private half stays there."""

    user: str
    path: str
    why: str


@dataclass(frozen=True)
class Directory:
    """A directory with this owner and mode; what lies in it is not touched."""

    path: str
    why: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755


@dataclass(frozen=True)
class File:
    """A file of exactly this text. ``secret``: neither its text nor a diff of it is ever shown.

    ``check`` is a command that must succeed before the file takes its place, in which ``%s``
    stands for the new text's temporary path. ``tells`` is a unit of systemd that is reloaded
    (``reload``) or restarted afterwards, once after the last step that tells it.
    """

    path: str
    text: str
    why: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    secret: bool = False
    check: str | None = None
    tells: str | None = None
    reload: bool = False


@dataclass(frozen=True)
class Absent:
    """There is no such file. ``brought_by`` is the Debian package that brings it: a plan for a
    server that has not got that yet knows of it."""

    path: str
    why: str
    tells: str | None = None
    reload: bool = False
    brought_by: str | None = None


@dataclass(frozen=True)
class Unit:
    """A unit of systemd that runs, now and after a boot; or, if not ``running``, neither."""

    name: str
    why: str
    running: bool = True


@dataclass(frozen=True)
class Command:
    """What no other step says: ``command`` is run where ``met``, a command, fails. What ``met``
    prints then is shown as the diff."""

    title: str
    met: str
    command: str
    why: str


@dataclass(frozen=True)
class Guarded:
    """Steps that could lock everybody out: they undo themselves after ``undo_s`` seconds unless
    the tool has logged in anew meanwhile. Commands in it are run last, once the units know the
    files; what they do is undone by the files, or by ``restore``.

    ``restore`` is run, after the files are as they were, where they were undone. ``proof`` says in
    words which login is tried.
    """

    title: str
    steps: tuple[File | Absent | Unit | Command, ...]
    restore: str
    undo_s: int = 60
    proof: str = "one can log in anew"


Step = Updates | Packages | User | KeyPair | Directory | File | Absent | Unit | Command | Guarded
