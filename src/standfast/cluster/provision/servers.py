"""The servers among themselves: each has a key pair of its own, which its peers let read the
site's files and nothing else, and each knows its peers by their host keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..inventory import Server, Site
from ..steps import Directory, File, KeyPair, Step, User
from .known import Known

#: Owns the site's files on every server, and copies them. No person, and no way to become root.
USER = "standfast"
HOME = "/var/lib/standfast"
KEY = f"{HOME}/.ssh/id_ed25519"
AUTHORIZED_KEYS = f"{HOME}/.ssh/authorized_keys"
KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
Learnt = TypeVar("Learnt", str, tuple[str, ...])


def steps(site: Site, server: Server, known: Known) -> list[Step]:
    """The user, its key pair, and whom it lets in and trusts. Lists of peers are written once all
    of these are known: one that does not answer today is not forgotten."""
    peers = site.peers(server)
    folder = f"{HOME}/.ssh"
    found: list[Step] = [
        # A shell that reads no file of its own, for rrsync's sake (its manual: "bash security
        # issue").
        User(
            USER, HOME, "owns the site's files and copies them", "/bin/sh", ("www-data",),
            system=True,
        ),
        Directory(HOME, "its own", USER, USER, 0o750),
        Directory(folder, "for nobody else to see", USER, USER, 0o700),
        KeyPair(USER, KEY, "proves to its peers who this server is"),
        File(f"{folder}/config", _ways(peers), "by which way to its peers", USER, USER, 0o600),
    ]  # fmt: skip
    keys = _of_all(peers, known.public_keys)
    if keys is not None:
        lines = [_allowed(site, peer, key) for peer, key in zip(peers, keys, strict=True)]
        found.append(
            File(
                AUTHORIZED_KEYS, "".join(lines),
                "peers may read the site's files and do nothing else", USER, USER, 0o600,
            )
        )  # fmt: skip
    hosts = _of_all(peers, known.host_keys)
    if hosts is not None:
        lines = [_host(peer, each) for peer, each in zip(peers, hosts, strict=True)]
        found.append(File(KNOWN_HOSTS, "".join(lines), "no peer is trusted on first sight"))
    return found


def _of_all(peers: Sequence[Server], learnt: Mapping[str, Learnt]) -> list[Learnt] | None:
    """What was learnt of each peer, None unless it was of all."""
    return [learnt[peer.name] for peer in peers] if {p.name for p in peers} <= set(learnt) else None


def _allowed(site: Site, peer: Server, key: str) -> str:
    """A line of authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""
    command = f"/usr/bin/rrsync -ro {site.files.root}"
    return f'restrict,from="{peer.address}",command="{command}" {_bare(key)} {peer.name}\n'


def _host(peer: Server, keys: Sequence[str]) -> str:
    """Lines of known_hosts: at whatever port it answers, it has to show one of these keys."""
    ports = sorted({peer.ssh_port, peer.first_port})
    places = [str(peer.address) if port == 22 else f"[{peer.address}]:{port}" for port in ports]
    return "".join(f"{','.join(places)} {_bare(key)}\n" for key in sorted(keys))


def _bare(key: str) -> str:
    """A public key without the comment at its end, which may be anything."""
    return " ".join(key.split()[:2])


def _ways(peers: Sequence[Server]) -> str:
    parts = [
        f"Host {peer.name}\n    HostName {peer.address}\n    Port {peer.ssh_port}\n"
        for peer in peers
    ]
    rest = f"Host *\n    User {USER}\n    BatchMode yes\n    StrictHostKeyChecking yes\n"
    return "# Written by standfast; `standfast cluster apply` writes it anew.\n" + "".join(
        [*parts, rest]
    )
