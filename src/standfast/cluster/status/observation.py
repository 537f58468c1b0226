"""Looks at all servers of a site at once, in one round trip each."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping
from types import MappingProxyType

from standfast.cluster import database
from standfast.cluster.contact import readable
from standfast.cluster.database import accounts, gtid, sql
from standfast.cluster.database.observe import link_of
from standfast.cluster.inventory import Server, Site
from standfast.cluster.provision import gate
from standfast.cluster.remote import Remote, RemoteError, logins, on_all
from standfast.errors import StandfastError

from . import heartbeat, tables
from .seen import Clock, Disk, Link, Replica, Seen, SiteSeen, Unreached

#: What shall run on every server, as systemd names it.
SERVICES = ("mariadb", "apache2", "named", "ssh", "nftables")
ON_MASTER = ("vsftpd",)
_DATABASE_S = 6
#: Of very many tables; what is not read by then is not compared.
_TABLES_S = 4
_ANSWER_S = 15

# Between two answers; no answer can look like it, for a line's end in a value is escaped.
_NEXT = "standfast-next"
_SQL = f"""\
SELECT @@global.gtid_current_pos AS current_pos, @@global.gtid_binlog_pos AS binlog_pos;
SELECT '{_NEXT}' AS `{_NEXT}`;
SHOW ALL SLAVES STATUS;
SELECT '{_NEXT}' AS `{_NEXT}`;
{heartbeat.READ_SQL}"""  # noqa: S608 - nothing in it comes from outside


_HISTORY = {
    "its own log goes on from where it was, under its own number: standfast cluster rejoin": (
        f'test "$({sql.CLIENT} -BN -e "{heartbeat.WENT_BACK_SQL}")" != 1'
    )
}


def services(site: Site, server: Server) -> tuple[str, ...]:
    """The services that shall run on a server."""
    return SERVICES + (ON_MASTER if server.name == site.master else ())


def checks(site: Site, server: Server) -> dict[str, str]:
    """What has to be in force on a server, in words, with the command that tells."""
    return {
        **gate.in_force(site, server),
        **database.in_force(site, server),
        **accounts.in_force(),
        **_HISTORY,
    }


def script(wanted: tuple[str, ...], in_force: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a server is asked in one go: lines of a word and what belongs to it. It reads its SQL
    from standard input. ``in_force`` has commands, each by the words that are so if it succeeds."""
    compared = "".join(
        f"(\n{met}\n) >/dev/null 2>&1 </dev/null || echo {shlex.quote(f'otherwise {words}')}\n"
        for words, met in in_force.items()
    )
    return f"""\
LC_ALL=C; export LC_ALL
echo "clock $(date +%s.%N)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
echo "uptime $(cut -d' ' -f1 /proc/uptime)"
echo "load $(cut -d' ' -f1-3 /proc/loadavg)"
for unit in {shlex.join(wanted)}; do
  state=$(systemctl is-active "$unit" 2>/dev/null)
  # One that still runs does not come back after it has ended.
  test "$(systemctl is-enabled "$unit" 2>/dev/null)" = masked && state=masked
  echo "service $unit $state"
done
{compared}for path in / /var/lib/mysql; do
  df -B1 --output=used,avail,target "$path" 2>/dev/null | sed -n '2s/^/disk /p'
done
if said=$(timeout {_DATABASE_S} {sql.CLIENT} --batch --default-character-set=utf8mb4 2>&1); then
  printf '%s\\n' "$said" | sed 's/^/replica /'
else
  test $? = 124 && said="it gave no answer within {_DATABASE_S} s"
  echo "refused $(printf '%s' "$said" | tail -n 1)"
fi
if said=$(timeout {_TABLES_S} {sql.CLIENT} --batch --skip-column-names \
    --default-character-set=utf8mb4 -e {shlex.quote(tables.SQL)} 2>/dev/null </dev/null); then
  test -z "$said" || printf '%s\\n' "$said" | sed 's/^/table /'
fi
echo "clock $(date +%s.%N)"
"""


def admins_way(site: Site) -> dict[str, Remote | RemoteError]:
    """Every server by name, as its admin gets to it: nothing is tried out here.

    Raises StandfastError where no server has ever been met, or who they are may not be read.
    """
    if not readable(site):
        raise StandfastError(
            f"{site.name}: no server has been set up from here (there is no {site.secrets.name}"
            "/known_hosts beside the site's file): run `standfast cluster apply` first"
        )
    return {server.name: Remote(logins(site, server)[0]) for server in site.servers}


def observe(site: Site, remotes: Mapping[str, Remote | RemoteError]) -> SiteSeen:
    """How all servers are right now; those that are not reached are part of the answer."""

    def look(server: Server) -> Seen:
        remote = remotes[server.name]
        if isinstance(remote, RemoteError):
            raise remote
        sent_s = time.time()
        asked = script(services(site, server), checks(site, server))
        said = remote.run(asked, _SQL, timeout_s=_ANSWER_S)
        came_s = time.time()
        try:
            return read(said, sent_s, came_s)
        except (ValueError, IndexError, KeyError):
            raise RemoteError("gave an answer that cannot be read") from None

    at_s = time.time()
    found = on_all(site.servers, look)
    servers = {
        name: Unreached(str(one).removeprefix(f"{name} ")) if isinstance(one, RemoteError) else one
        for name, one in found.items()
    }
    return SiteSeen(at_s, servers)


def read(said: str, sent_s: float, came_s: float) -> Seen:
    """What a server's answer says. ``sent_s`` and ``came_s`` are this machine's time before and
    after. Raises ValueError, IndexError or KeyError for what is no such answer."""
    lines: dict[str, list[str]] = {}
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        lines.setdefault(word, []).append(rest)
    first_s, last_s = (_number(text) for text in lines["clock"])
    one, five, fifteen = (_number(text) for text in lines["load"][0].split())
    refused = lines.get("refused")
    return Seen(
        boot_id=lines["boot"][0],
        uptime_s=_number(lines["uptime"][0]),
        load=(one, five, fifteen),
        services={unit: state or "unknown" for unit, _, state in map(_split, lines["service"])},
        disks=_disks(lines.get("disk", [])),
        clock=_clock(sent_s, first_s, last_s, came_s),
        replica=None if refused else _replica(lines["replica"]),
        database_error=refused[0] if refused else "",
        tables=tables.read(lines.get("table", [])),
        otherwise=tuple(lines.get("otherwise", ())),
    )


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _split(line: str) -> tuple[str, str, str]:
    return line.partition(" ")


def _clock(sent_s: float, first_s: float, last_s: float, came_s: float) -> Clock:
    """As in NTP (RFC 5905, section 8): the server's clock is ahead by no more than ``first - sent``
    and no less than ``last - came``; the middle of the two is half their distance from either."""
    most, least = first_s - sent_s, last_s - came_s
    return Clock((most + least) / 2, abs(most - least) / 2)


def _disks(lines: list[str]) -> tuple[Disk, ...]:
    """One for each file system, however many of our paths lie on it."""
    found: dict[str, Disk] = {}
    for line in lines:
        used, free, path = line.split(maxsplit=2)
        found.setdefault(path, Disk(path, int(free), int(used) / max(int(used) + int(free), 1)))
    return tuple(found.values())


def _replica(lines: list[str]) -> Replica:
    printed = "".join(f"{line}\n" for line in lines)
    (state,), links, beats = map(sql.rows, printed.split(f"{_NEXT}\n{_NEXT}\n"))
    return Replica(
        read_at_s=max((_microseconds(row["now"]) or 0.0 for row in beats), default=0.0),
        beats={int(row["server"] or 0): _microseconds(row["beat"]) for row in beats},
        positions=gtid.position(f"{state['current_pos'] or ''},{state['binlog_pos'] or ''}"),
        links=tuple(_link(link_of(row)) for row in links),
    )


def _microseconds(text: str | None) -> float | None:
    return None if text is None else int(text) / 1e6


def _link(link: database.Link) -> Link:
    """Links are named after the server that they come from; one that is not was made by others."""
    return Link(
        peer=link.name or link.host,
        reads=link.io == "Yes",
        applies=link.sql == "Yes",
        error=link.sql_error or link.io_error,
    )
