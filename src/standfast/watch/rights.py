"""Whether another user may do something, asked of the kernel with that user's rights."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress


def may_record(journal: str, uid: int) -> bool:
    """Whether this user's application may make its folder in ``journal``.

    Root asks in a child that takes on the user's rights: no bit of a mode tells all, with groups,
    access lists and folders above that may be closed. Others can ask for themselves only.
    """
    wanted = os.W_OK | os.X_OK
    if os.geteuid() == uid:
        return os.access(journal, wanted)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    status = 1
    with suppress(Exception):
        _become(uid)
        status = 0 if os.access(journal, wanted) else 1
    os._exit(status)


def _become(uid: int) -> None:
    try:
        user = pwd.getpwuid(uid)
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
    except KeyError:
        os.setgroups([])
        os.setgid(uid)
    os.setuid(uid)
