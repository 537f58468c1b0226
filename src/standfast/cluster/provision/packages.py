"""The distribution's updates, now and every night, and the packages that the site needs."""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import File, Packages, Step, Updates

#: On every server, each with what it is there for.
EVERYWHERE = {
    "sudo": "people become root by it",
    "nftables": "the firewall",
    "chrony": "the clock; the package starts it where a server may set its own",
    "openssl": "makes keys and certificates",
    "unattended-upgrades": "installs security updates every night",
    "mariadb-server": "the database",
    "mariadb-backup": "copies a database that is in use",
    "apache2": "the web server",
    "php": "the language of the site",
    "libapache2-mod-php": "PHP in the web server",
    "php-mysql": "PHP's way to the database",
    "bind9": "the name service",
    "rsync": "copies files between servers",
    "python3": "rsync's rrsync, which limits such copies, is written in it",
}
_NIGHTLY = """\
// Written by standfast; `standfast cluster apply` writes it anew.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
"""


def steps(site: Site, server: Server) -> list[Step]:
    """What is installed. vsftpd comes later, behind the firewall, and on the master alone."""
    names = (*EVERYWHERE, *(name for name in site.packages if name not in EVERYWHERE))
    found: list[Step] = [
        Updates("no known hole is left open"),
        Packages(names, "what the site runs on"),
        File(
            "/etc/apt/apt.conf.d/60standfast", _NIGHTLY, "security updates come by themselves",
            check="apt-config -c %s dump >/dev/null",
        ),
    ]  # fmt: skip
    if server.name != site.master:
        found.append(Packages(("vsftpd",), "uploads come to the master alone", absent=True))
    return found
