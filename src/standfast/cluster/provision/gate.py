"""Who gets in, and by which port: keys, sudo, sshd and the firewall, which change together or not
at all."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import Command, File, Guarded, Step, Unit
from . import people, servers
from .firewall import TABLE, Openings, ruleset

#: Read before all others of its folder: in sshd what is said first counts.
SSHD = "/etc/ssh/sshd_config.d/00-standfast.conf"
NFTABLES = "/etc/nftables.conf"
TITLE = "keys, sudo, SSH and firewall"
#: Seen within the whole configuration, as it will be.
_CHECK = "{ echo Include %s; cat /etc/ssh/sshd_config; } | sshd -t -f /dev/stdin"
_RESTORE = (
    f"nft delete table inet {TABLE} 2>/dev/null;"
    " if systemctl -q is-active nftables; then systemctl reload nftables; fi;"
    " systemctl restart ssh"
)
#: Our table as the kernel has it, against what it makes of the file in a network of its own.
_TABLE_IN_FORCE = f"""\
wanted=$(unshare --net sh -c 'nft -f {NFTABLES} && nft list table inet {TABLE}') || exit
nft list table inet {TABLE} 2>/dev/null | diff -U1 - --label 'in force' --label '{NFTABLES}' \
/dev/fd/3 3<<end
$wanted
end"""


def steps(site: Site, server: Server) -> list[Step]:
    """One guarded step: what let in until now goes only once an admin has come in with one of the
    new keys, by the new port, past the new firewall, and has become root."""
    return [
        Guarded(
            TITLE,
            (
                *people.ways_in(site),
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
                *(
                    Command(
                        words, met, "systemctl reload nftables; systemctl reload ssh",
                        "a file alone lets nobody in and keeps nobody out",
                    )
                    for words, met in in_force(site, server).items()
                ),
            ),
            _RESTORE,
            proof="an admin can log in anew by these keys, and become root",
        )
    ]  # fmt: skip


def in_force(site: Site, server: Server) -> dict[str, str]:
    """What has to be so, in words, and the command that succeeds where it is: whatever the files
    say, only this lets in and keeps out."""
    return {
        "the firewall in force is the one of its file": _TABLE_IN_FORCE,
        "sshd obeys its file alone": _sshd_in_force(site, server),
    }


def sshd(site: Site, server: Server) -> str:
    """Its part of sshd's configuration (sshd_config(5))."""
    said = "".join(f"{name} {value}\n" for name, value in _directives(site, server).items())
    return f"# Written by standfast; `standfast cluster apply` writes it anew.\n{said}"


def _directives(site: Site, server: Server) -> dict[str, str]:
    names = [*(admin.name for admin in site.admins), servers.USER]
    return {
        "Port": str(server.ssh_port),
        "AuthenticationMethods": "publickey",
        "PubkeyAuthentication": "yes",
        "AuthorizedKeysFile": ".ssh/authorized_keys",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitEmptyPasswords": "no",
        "PermitRootLogin": "no",
        "AllowUsers": " ".join(names),
        "X11Forwarding": "no",
    }


def _sshd_in_force(site: Site, server: Server) -> str:
    """A command that succeeds where sshd's whole configuration comes to what its file says, for
    root and each admin from where they come (sshd(8), ``-T`` and ``-C``); else it shows what
    does not."""
    directives = _directives(site, server)
    pattern = "|".join(directives).lower()
    # It prints a name that may be said several times once for each.
    wanted = sorted(
        f"{name.lower()} {value}"
        for name, values in directives.items()
        for value in (values.split() if name == "AllowUsers" else [values])
    )
    people = [("root", str(site.admins[0].addresses[0].network_address))]
    people += [(admin.name, str(admin.addresses[0].network_address)) for admin in site.admins]
    checks = [
        f"sshd -T -C user={name},host={address},addr={address} | grep -E '^({pattern}) ' | sort"
        f" | diff -U0 - --label 'in force, for {name}' --label {SSHD} /dev/fd/3 3<<end\n"
        + "\n".join(wanted)
        + "\nend"
        for name, address in people
    ]
    return "export LC_ALL=C\n" + "\n".join(f"{check}\ntest $? = 0 || exit 1" for check in checks)


def firewall(site: Site, server: Server) -> str:
    """Its firewall, as a file that nft itself can run."""
    openings = Openings(
        ssh_port=server.ssh_port,
        admins=[str(network) for admin in site.admins for network in admin.addresses],
        peers=[str(peer.address) for peer in site.peers(server)],
        ftp=server.name == site.master,
    )
    return f"#!/usr/sbin/nft -f\n{ruleset(openings)}"
