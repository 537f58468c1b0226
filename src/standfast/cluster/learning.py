"""What the servers of a site say of themselves, all asked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from standfast.errors import StandfastError

from .database import options
from .inventory import Server, Site
from .provision import mark
from .provision.servers import KEY
from .remote import OtherHostKey, RemoteError, on_all, reach

_LEARN = f"""
sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/memory \\1/p' /proc/meminfo
for file in /etc/ssh/ssh_host_*_key.pub; do echo "host $(cat "$file")"; done
if test -e {KEY}.pub; then echo "own $(cat {KEY}.pub)"; fi
if test -e {mark.PATH}; then echo "site $({mark.READ})"; fi
sed -n 's/^server_id *= */number /p' {options.PATH} 2>/dev/null
for program in mariadbd apache2; do
    if command -v $program >/dev/null; then echo "serves something"; fi
done
"""


@dataclass
class Learnt:
    """What the servers told of themselves, by name."""

    memory_bytes: dict[str, int] = field(default_factory=dict)
    host_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    public_keys: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    #: Those on which nothing is installed that somebody could need.
    new: set[str] = field(default_factory=set)
    #: Why those that do not answer were not reached.
    away: dict[str, RemoteError] = field(default_factory=dict)

    def whole(self, site: Site) -> bool:
        """Whether nothing is left to learn of those that answer."""
        return {
            server.name for server in site.servers
        } <= self.public_keys.keys() | self.away.keys()


def learn(
    site: Site, fingerprint: str, left_out: Mapping[str, RemoteError] = MappingProxyType({})
) -> Learnt:
    """What all servers that are reached say of themselves. Those ``left_out`` are not asked; they
    are away.

    Raises StandfastError where one belongs to another site (``fingerprint`` is of this one's
    authority) or has another number than the file gives it, RemoteError where one shows another
    host key, or none is reached.
    """
    found, marks = Learnt(), dict[str, str]()

    def ask(server: Server) -> str:
        if server.name in left_out:
            raise left_out[server.name]
        return reach(site, server).run(_LEARN)

    told = on_all(site.servers, ask)
    for name, answer in told.items():
        if isinstance(answer, OtherHostKey):
            raise answer
        if isinstance(answer, RemoteError):
            found.away[name] = answer
            continue
        facts = [line.split(" ", 1) for line in answer.splitlines() if " " in line]
        found.memory_bytes[name] = sum(int(text) * 1024 for kind, text in facts if kind == "memory")
        found.host_keys[name] = tuple(text for kind, text in facts if kind == "host")
        for own in [text for kind, text in facts if kind == "own"]:
            found.public_keys[name] = own
        for each in [text for kind, text in facts if kind == "site"]:
            marks[name] = each
        if not any(kind == "serves" for kind, _ in facts):
            found.new.add(name)
        for number in [text for kind, text in facts if kind == "number" and text.isdecimal()]:
            found.numbers[name] = int(number)
    if len(found.away) == len(site.servers):
        raise next(iter(found.away.values()))
    if (why := mark.foreign(site, fingerprint, marks)) is not None:
        raise StandfastError(why)
    _unchanged(site, found.numbers)
    return found


def _unchanged(site: Site, numbers: Mapping[str, int]) -> None:
    """Before anything is written: with new options the database itself would no longer show that
    it ever had another number, and two servers' rows and positions would be taken for one's."""
    changed = [
        f"{server.name} is number {numbers[server.name]}, the file makes it {server.number}"
        for server in site.servers
        if numbers.get(server.name, server.number) != server.number
    ]
    if changed:
        raise StandfastError(
            "\n".join(changed) + "\nA number never changes: write down `number` for each server,"
            " as it was. Nothing was done."
        )
