"""Since when a server is away: what the others have last heard of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..database import sql
from ..inventory import Server, Site
from ..remote import Remote, RemoteError, on_all
from . import heartbeat
from .judgement import heard

#: Nobody waits longer for what is said beside the matter, in seconds.
_ANSWER_S = 10


def last_heard(
    site: Site, remotes: Mapping[str, Remote | RemoteError], names: Iterable[str]
) -> dict[str, str]:
    """For each of these servers words to be put behind the reason why it was not reached; none
    where no other knows anything of it. All others are asked at once. Their clocks, and that of
    the server itself, are taken for right."""
    missed = list(names)

    def ages(server: Server) -> dict[int, float]:
        remote = remotes[server.name]
        if isinstance(remote, RemoteError):
            raise remote
        (rows,) = sql.ask(remote, heartbeat.READ_SQL, timeout_s=_ANSWER_S)
        return {
            int(row["server"] or 0): max(int(row["now"] or 0) - int(row["beat"]), 0) / 1e6
            for row in rows
            if row["beat"] is not None
        }

    asked = [server for server in site.servers if server.name not in missed] if missed else []
    found = on_all(asked, ages)
    known = {name: one for name, one in found.items() if not isinstance(one, RemoteError)}
    words = {}
    for name in missed:
        number = site.server(name).number
        words[name] = heard([(one[number], on) for on, one in known.items() if number in one])
    return words
