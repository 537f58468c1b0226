"""The lease of one server: a line in a file there, replaced only where it is what was seen.

``EXPIRY SINCE TOKEN OWNER COMMAND``: both times are seconds of the server's own uptime, which no
setting of a clock changes; the file goes with the uptime itself, as ``/run`` is empty after a boot.
"""

from __future__ import annotations

import re

from ..remote import Remote, RemoteError
from .decision import Lease

#: Root's alone.
FOLDER = "/run/standfast"
#: A lease that is not renewed for so long, in seconds, is nobody's any more.
EXPIRY_S = 60
_ANSWER_S = 20
#: Of two that come at once the second waits for the first, which needs milliseconds.
_LOCK_S = 10
_LONGEST = 400
_SWAP = f"""\
install -d -m 700 {FOLDER} && cd {FOLDER} || exit
umask 077
exec 9>>lock
flock -w {_LOCK_S} 9 || {{ echo "{FOLDER}/lock is held by another process" >&2; exit 1; }}
IFS= read -r seen
read -r expiry since rest
there=$(head -c {_LONGEST} lease 2>/dev/null | head -n 1)
now=$(sed 's/[. ].*//' /proc/uptime)
if test "$there" = "$seen"; then
    if test -n "$expiry"; then
        test "$since" = - && since=$now
        there="$((now + expiry)) $since $rest"
        echo "$there" >lease.new && mv -f lease.new lease || exit
    else
        rm -f lease || exit
        there=
    fi
fi
echo "$now $there"
"""
_LINE = re.compile(r"(\d{1,12}) (\d{1,12}) ([0-9a-f]{32}) ([!-~]{1,100}) ([ -~]{1,100})")


def swap(remote: Remote, seen: str, wanted: str, *, timeout_s: float = _ANSWER_S) -> Lease | None:
    """Puts ``wanted`` (``SINCE TOKEN OWNER COMMAND``, where ``-`` is now; nothing gives the lease
    back) in the place of ``seen``, the line that is there (nothing: there is none). Returns the
    lease that is there then, be it the wanted one or not; None where there is none.

    Raises RemoteError.
    """
    new = f"{EXPIRY_S} {wanted}" if wanted else ""
    said = remote.run(_SWAP, f"{seen}\n{new}\n", timeout_s=timeout_s)
    return read(said)


def read(said: str) -> Lease | None:
    """The lease in an answer. Raises RemoteError for what is no such answer; a line that is no
    lease of ours is one that somebody holds."""
    now, _, line = said.removesuffix("\n").partition(" ")
    if not re.fullmatch(r"[0-9]{1,12}", now):
        raise RemoteError("gave an answer that cannot be read")
    if not line:
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        return Lease("", "somebody", "unknown", 0, EXPIRY_S, line)
    expiry, since, token, owner, command = found.groups()
    return Lease(token, owner, command, int(now) - int(since), int(expiry) - int(now), line)
