"""The first contact with a server: whose key it shows is decided by a person, and then kept."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from standfast.errors import StandfastError

from .inventory import Server, Site
from .remote import RemoteError

_SCAN_S = 5


@dataclass(frozen=True)
class Stranger:
    """A server whose key nobody has vouched for yet. ``keys`` are what follows the host in lines
    of known_hosts, ``fingerprints`` what a person compares."""

    server: Server
    keys: tuple[str, ...]
    fingerprints: tuple[str, ...]


def strangers(site: Site, servers: Iterable[Server]) -> list[Stranger]:
    """Those of the servers whose keys are not known. Raises RemoteError for one that does not
    answer."""
    known = _known(site)
    return [_meet(each) for each in servers if not known.keys() & set(_places(each))]


def trust(site: Site, met: Iterable[Stranger]) -> None:
    """From now on these servers are known by these keys, on each of their ports."""
    _write(site, [(place, key) for e in met for place in _places(e.server) for key in e.keys])


def follow(site: Site, servers: Iterable[Server]) -> None:
    """A server that is known on one of its ports is known on another one that it gets, too."""
    known = _known(site)
    lines: list[tuple[str, str]] = []
    for server in servers:
        places = _places(server)
        keys = [key for place in places for key in known.get(place, ())]
        lines += [(p, key) for p in places if p not in known for key in dict.fromkeys(keys)]
    if lines:
        _write(site, lines)


def _write(site: Site, lines: Iterable[tuple[str, str]]) -> None:
    file = site.secrets / "known_hosts"
    try:
        site.secrets.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        with file.open("a", encoding="utf-8") as known:
            known.write("".join(f"{place} {key}\n" for place, key in lines))
    except OSError as error:
        raise StandfastError(f"{file} cannot be written: {error.strerror}") from None


def readable(site: Site) -> str:
    """The text of the site's known_hosts; empty where no server has been met yet. Raises
    StandfastError, with what to do, where it may not be read."""
    file = site.secrets / "known_hosts"
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except PermissionError:
        try:
            owner = site.secrets.owner()
        except (KeyError, OSError):
            owner = "another user"
        raise StandfastError(
            f"{site.secrets} belongs to {owner}, and you may not read it: run this as {owner}, who"
            " set the site up, or give that folder to yourself (sudo chown -R)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StandfastError(f"{file} cannot be read: {error}") from None


def _known(site: Site) -> dict[str, list[str]]:
    """The keys of each place that is known."""
    lines = readable(site).splitlines()
    known: dict[str, list[str]] = {}
    for line in lines:
        places, _, key = line.partition(" ")
        for place in places.split(",") if key else ():
            known.setdefault(place, []).append(key)
    return known


def _places(server: Server) -> list[str]:
    """How OpenSSH writes where it answers: at its own port, and at its provider's."""
    ports = sorted({server.ssh_port, server.first_port})
    return [str(server.address) if port == 22 else f"[{server.address}]:{port}" for port in ports]


def _meet(server: Server) -> Stranger:
    for port in dict.fromkeys((server.ssh_port, server.first_port)):
        words = ["ssh-keyscan", "-T", str(_SCAN_S), "-p", str(port), str(server.address)]
        lines = [
            line.split(maxsplit=1)[1]
            for line in _run(words).splitlines()
            if line and not line.startswith("#")
        ]
        if lines:
            listed = "".join(f"{server.name} {line}\n" for line in lines)
            prints = _run(["ssh-keygen", "-l", "-f", "-"], listed).splitlines()
            return Stranger(server, tuple(lines), fingerprints(prints))
    raise RemoteError(
        f"{server.name} ({server.address}) does not answer by SSH on port {server.ssh_port}"
        f" or {server.first_port}",
        reached=False,
    )


def fingerprints(listed: Iterable[str]) -> tuple[str, ...]:
    """What a person compares, of the lines that ``ssh-keygen -l`` prints: the same in whatever
    order the server has told its keys, the kind that is shown most often first."""
    pairs = [(line.split()[-1], line.split()[1]) for line in listed if len(line.split()) > 2]
    ordered = sorted(pairs, key=lambda pair: (pair[0] != "(ED25519)", pair))
    return tuple(f"{digest} {kind}" for kind, digest in ordered)


def _run(words: list[str], given: str = "") -> str:
    try:
        done = subprocess.run(
            words, input=given, capture_output=True, text=True, timeout=4 * _SCAN_S
        )
    except FileNotFoundError:
        raise StandfastError(
            f"{words[0]} is not installed here: apt-get install openssh-client"
        ) from None
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
