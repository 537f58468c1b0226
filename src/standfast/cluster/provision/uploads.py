"""Uploads by FTP with TLS, to the master alone: each admin with a password for this alone.

The password is made on the server, where its owner, who may become root, looks it up. It opens
the web root and nothing else: neither SSH nor the admin's own files. What is uploaded belongs to
the user who owns the site's files on every server.
"""

from __future__ import annotations

from ..inventory import Server, Site
from ..steps import Command, Directory, File, Packages, Step, Unit
from .firewall import PASSIVE
from .mark import FOLDER
from .servers import USER

PASSWORDS = f"{FOLDER}/ftp"
CERTIFICATE = f"{FOLDER}/ftp.pem"
_HASHES = f"{FOLDER}/ftp.hashes"
_PEOPLE = f"{FOLDER}/ftp.people"
_PAM = "standfast-ftp"
_UNIT = "vsftpd"
ON_MASTER = (_UNIT, "libpam-pwdfile")
_CERTIFICATE_DAYS = 3650
_MONTH_S = 30 * 86400


def steps(site: Site, server: Server) -> list[Step]:
    """What vsftpd shall be like on the master; nothing for the others."""
    if server.name != site.master:
        return []
    people = "".join(f"{admin.name}\n" for admin in site.admins)
    return [
        Directory(PASSWORDS, "a file for each admin's password for FTP", mode=0o700),
        *(_password(admin.name) for admin in site.admins),
        Packages(ON_MASTER, "uploads"),
        _certificate(site, server),
        File(_PEOPLE, people, "these may upload, whatever passwords there are", tells=_UNIT),
        File(
            f"/etc/pam.d/{_PAM}",
            f"auth required pam_pwdfile.so pwdfile={_HASHES}\naccount required pam_permit.so\n",
            "passwords for FTP are for nothing else",
        ),
        File("/etc/vsftpd.conf", vsftpd(site), "uploads by TLS alone", tells=_UNIT),
        Unit(_UNIT, "uploads"),
    ]  # fmt: skip


def _password(name: str) -> Command:
    """Makes a password of 192 random bits; no command line ever holds it."""
    path = f"{PASSWORDS}/{name}"
    return Command(
        f"a password for {name} to upload with",
        f"test -s {path} && grep -q '^{name}:' {_HASHES}",
        f"set -e; umask 077; openssl rand -base64 24 >{path};"
        f" hash=$(openssl passwd -6 -stdin <{path});"
        f" touch {_HASHES}; sed -i '/^{name}:/d' {_HASHES};"
        f" printf '%s:%s\\n' {name} \"$hash\" >>{_HASHES}",
        "keys are for SSH; FTP knows passwords alone",
    )


def _certificate(site: Site, server: Server) -> Command:
    """A certificate of its own, made anew before it runs out or where the address changes."""
    alternatives = f"DNS:{site.domain},IP:{server.address}"
    return Command(
        "a certificate for uploads",
        f"openssl x509 -in {CERTIFICATE} -noout -checkend {_MONTH_S} >/dev/null"
        f" && openssl x509 -in {CERTIFICATE} -noout -checkip {server.address}"
        " | grep -q 'does match'",
        f"set -e; umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        f" -nodes -days {_CERTIFICATE_DAYS} -subj /CN={site.domain}"
        f" -addext subjectAltName={alternatives}"
        f" -keyout {CERTIFICATE}.new -out {CERTIFICATE}.cert 2>/dev/null;"
        f" cat {CERTIFICATE}.cert >>{CERTIFICATE}.new; rm {CERTIFICATE}.cert;"
        f" mv {CERTIFICATE}.new {CERTIFICATE}; systemctl try-restart {_UNIT}",
        "who uploads can see that it is this server",
    )


def vsftpd(site: Site) -> str:
    """Its configuration (vsftpd.conf(5))."""
    return f"""\
# Written by standfast; `standfast cluster apply` writes it anew.
listen=NO
# Takes IPv4 as well.
listen_ipv6=YES
background=NO
secure_chroot_dir=/var/run/vsftpd/empty

# Names and passwords of their own, which all stand for the owner of the site's files.
anonymous_enable=NO
local_enable=YES
pam_service_name={_PAM}
userlist_enable=YES
userlist_deny=NO
userlist_file={_PEOPLE}
guest_enable=YES
guest_username={USER}
virtual_use_local_privs=YES

# The web root and nothing above it; the web server reads by its group and changes nothing.
local_root={site.files.root}
chroot_local_user=YES
allow_writeable_chroot=YES
write_enable=YES
local_umask=027
hide_ids=YES
xferlog_enable=YES

# TLS for passwords and files alike; what is older than 1.2 OpenSSL itself refuses.
ssl_enable=YES
force_local_logins_ssl=YES
force_local_data_ssl=YES
ssl_sslv2=NO
ssl_sslv3=NO
ssl_tlsv1=NO
ssl_ciphers=HIGH
require_ssl_reuse=YES
rsa_cert_file={CERTIFICATE}
rsa_private_key_file={CERTIFICATE}

# The client always comes to us, to ports that the firewall knows.
port_enable=NO
pasv_min_port={PASSIVE[0]}
pasv_max_port={PASSIVE[1]}
"""
