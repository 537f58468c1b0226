"""Who gets in, and by which port: sshd and the firewall, which change together or not at all."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import File, Guarded, Step, Unit
from . import servers
from .firewall import TABLE, Openings, ruleset

#: Read before all others of its folder: in sshd what is said first counts.
SSHD = "/etc/ssh/sshd_config.d/00-standfast.conf"
NFTABLES = "/etc/nftables.conf"
#: Seen within the whole configuration, as it will be.
_CHECK = "{ echo Include %s; cat /etc/ssh/sshd_config; } | sshd -t -f /dev/stdin"
_RESTORE = (
    f"nft delete table inet {TABLE} 2>/dev/null;"
    " if systemctl -q is-active nftables; then systemctl reload nftables; fi;"
    " systemctl restart ssh"
)


def steps(site: Site, server: Server) -> list[Step]:
    """One guarded step: what the server's provider let in goes only once an admin has come in by
    the new port, past the new firewall."""
    return [
        Guarded(
            "SSH and firewall",
            (
                File(
                    SSHD, sshd(site, server), "keys alone let in, and those of people alone",
                    check=_CHECK, tells="ssh", reload=True,
                ),
                # Where systemd listens in its place, sshd's own port counts for nothing.
                Unit("ssh.socket", "sshd listens itself, on its own port", running=False),
                Unit("ssh", "the way in"),
                File(
                    NFTABLES, firewall(site, server), "nothing is open but what is meant",
                    mode=0o755, check="nft -c -f %s", tells="nftables", reload=True,
                ),
                Unit("nftables", "the firewall, from the first moment of a boot"),
            ),
            _RESTORE,
        )
    ]  # fmt: skip


def sshd(site: Site, server: Server) -> str:
    """Its part of sshd's configuration (sshd_config(5))."""
    names = " ".join([*(admin.name for admin in site.admins), servers.USER])
    return f"""\
# Written by standfast; `standfast cluster apply` writes it anew.
Port {server.ssh_port}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
PermitRootLogin no
AllowUsers {names}
X11Forwarding no
"""


def firewall(site: Site, server: Server) -> str:
    """Its firewall, as a file that nft itself can run."""
    openings = Openings(
        ssh_port=server.ssh_port,
        admins=[str(network) for admin in site.admins for network in admin.addresses],
        peers=[str(peer.address) for peer in site.peers(server)],
        ftp=server.name == site.master,
    )
    return f"#!/usr/sbin/nft -f\n{ruleset(openings)}"
