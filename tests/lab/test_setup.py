"""A site that was set up, seen from outside, from a peer and from an admin."""

from __future__ import annotations

import contextlib
import ftplib
import io
import os
import shlex
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from standfast.cluster.inventory import Site
from standfast.cluster.provision import Known, wanted
from standfast.cluster.provision.firewall import FTP, MARIADB, PASSIVE
from standfast.cluster.provision.gate import NFTABLES
from standfast.cluster.provision.uploads import CERTIFICATE, PASSWORDS
from standfast.cluster.steps import File, Guarded, Packages
from standfast.lab import Lab, LabServer
from standfast.lab.plan import inner_address6
from tests.lab.conftest import SITE_SERVERS, Admin

#: The first to ask for the site waits until it is set up.
pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
MASTER, *OTHERS = SITE_SERVERS
NAMES = [server.name for server in SITE_SERVERS]
HTTP, HTTPS, DNS = 80, 443, 53
#: All that Debian gives to services, every port of ours, and some beside them.
PORTS = (
    *range(1, 1024), 2049, 2200, *(s.ssh_port for s in SITE_SERVERS), MARIADB, MARIADB + 1, 8080,
    *range(PASSIVE[0] - 1, PASSIVE[1] + 2),
)  # fmt: skip
#: Which ports of an address take a connection, and which are let through but nobody is there (as
#: negative numbers); all are asked at once, and whoever has not answered after a while is silent.
_SCAN = """
import errno, os, resource, select, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
asked, answers = {}, select.poll()
for port in map(int, sys.argv[2:]):
    one = socket.socket(family)
    one.setblocking(False)
    one.connect_ex((sys.argv[1], port))
    asked[one.fileno()] = port, one
    answers.register(one, select.POLLOUT)
end = time.monotonic() + 1.5
while (left := end - time.monotonic()) > 0:
    for number, _ in answers.poll(left * 1000):
        answers.unregister(number)
        port, one = asked[number]
        status = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status in (0, errno.ECONNREFUSED):
            print(-port if status else port)
        one.close()
"""


class Seen(NamedTuple):
    """What a scan found. Ports that are in neither set gave no answer at all."""

    open: set[int]
    refused: set[int]


Run = Callable[..., str]


@pytest.fixture
def on(site_up: Site, admin: Admin) -> Run:
    """``on(name, command)``: what a command of the admin prints on a server; it must succeed."""

    def run(name: str, command: str, *, fails: bool = False) -> str:
        server = site_up.server(name)
        done = admin.ssh(str(server.address), command, "ann", server.ssh_port)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


def inside(lab: Lab, name: str) -> list[str]:
    """The words that run a command of this machine on a server's network."""
    return ["ip", "netns", "exec", lab.plan.namespace(name)]


def scan(words: list[str], address: str) -> Seen:
    """The ports of an address, seen from wherever these words run a command."""
    scanner = [*words, "python3", "-c", _SCAN, address, *map(str, PORTS)]
    found = [int(n) for n in subprocess.check_output(scanner, text=True, timeout=60).split()]
    return Seen({n for n in found if n > 0}, {-n for n in found if n < 0})


# Packages and services


def test_the_packages_of_the_site_are_installed_and_no_update_is_waiting(
    site_up: Site, on: Run
) -> None:
    for server in site_up.servers:
        steps = [s for s in wanted(site_up, server, Known()) if isinstance(s, Packages)]
        names = {name for step in steps if not step.absent for name in step.names}
        status = on(server.name, "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n'")
        assert names <= {line.split()[0] for line in status.splitlines() if " ii" in line}
        assert ("vsftpd ii" in status) == (server.name == site_up.master)
        assert "\n0 upgraded" in on(server.name, "apt-get --simulate upgrade")


@pytest.mark.parametrize("name", NAMES)
def test_every_service_runs_and_none_has_failed(on: Run, name: str) -> None:
    units = ["ssh", "nftables", "mariadb", "apache2", "named"]
    units += ["vsftpd"] if name == MASTER.name else []
    assert set(on(name, f"systemctl is-active {' '.join(units)}").split()) == {"active"}
    assert set(on(name, f"systemctl is-enabled {' '.join(units)}").split()) == {"enabled"}
    assert on(name, "systemctl --failed --plain --no-legend") == ""


# The firewall


@pytest.mark.parametrize("server", SITE_SERVERS, ids=NAMES)
def test_each_sees_the_ports_that_are_meant_for_it_and_nothing_of_the_others(
    site_lab: Lab, site_up: Site, server: LabServer
) -> None:
    own = site_up.server(server.name)
    address = str(own.address)
    for_all = Seen({HTTP, DNS}, {HTTPS})
    for_known = Seen(for_all.open | {own.ssh_port, MARIADB}, for_all.refused)
    if own.name == site_up.master:
        passive = set(range(PASSIVE[0], PASSIVE[1] + 1))
        for_known = Seen(for_known.open | {FTP}, for_known.refused | passive)
    peer = inside(site_lab, site_up.peers(own)[0].name)
    views = {
        "admin": ([], address, for_known),
        "admin by IPv6": ([], inner_address6(address), for_known),
        "peer": (peer, address, for_known),
        "peer by an address that is not in site.toml": (peer, inner_address6(address), for_all),
        "outside": (site_lab.outside(), address, for_all),
        "outside by IPv6": (site_lab.outside(), inner_address6(address), for_all),
    }
    with ThreadPoolExecutor(len(views)) as pool:
        found = pool.map(lambda view: scan(view[0], view[1]), views.values())
        for (who, view), seen in zip(views.items(), found, strict=True):
            assert seen == view[2], who


# Logins


def log_in(site: Site, admin: Admin, name: str, *options: str, user: str = "ann") -> str:
    """What ssh says to an attempt with these options, "" where it let in."""
    server = site.server(name)
    words = ["ssh", "-p", str(server.ssh_port), "-l", user, "-o", "StrictHostKeyChecking=no"]
    words += ["-o", f"UserKnownHostsFile={admin.key.parent}/known_hosts", "-o", "LogLevel=ERROR"]
    askpass = admin.key.parent / "askpass"
    askpass.write_text("#!/bin/sh\necho correct-horse\n")
    askpass.chmod(0o700)
    done = subprocess.run(
        [*words, *options, str(server.address), "true"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        env={**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"},
    )  # fmt: skip
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", NAMES)
def test_a_key_lets_the_admin_in_and_the_right_password_does_not(
    site_up: Site, admin: Admin, on: Run, name: str
) -> None:
    on(name, "echo ann:correct-horse | sudo chpasswd")
    try:
        assert log_in(site_up, admin, name, "-i", str(admin.key)) == ""
        said = log_in(site_up, admin, name, "-o", "PubkeyAuthentication=no")
        assert "Permission denied (publickey)" in said
    finally:
        on(name, "sudo usermod --password '!' ann")


@pytest.mark.parametrize("user", ["root", "www-data", "standfast"])
def test_the_admins_key_lets_nobody_else_in(site_up: Site, admin: Admin, user: str) -> None:
    for name in NAMES:
        said = log_in(site_up, admin, name, "-i", str(admin.key), user=user)
        assert "Permission denied" in said


@pytest.mark.parametrize("name", NAMES)
def test_the_admin_becomes_root_without_a_password(on: Run, name: str) -> None:
    assert on(name, "sudo -n id -u") == "0\n"
    assert "parsed OK" in on(name, "sudo visudo -c")
    assert "a password is required" in on(name, "sudo -n -u standfast sudo -n id", fails=True)


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_for_their_owners_eyes_alone(on: Run, name: str) -> None:
    for home, user in (("/home/ann", "ann"), ("/var/lib/standfast", "standfast")):
        look = f"sudo stat -c '%a %U' {home}/.ssh {home}/.ssh/authorized_keys"
        assert on(name, look).splitlines() == [f"700 {user}", f"600 {user}"]
    assert on(name, "sudo stat -c %a /var/lib/standfast/.ssh/id_ed25519") == "600\n"


# Servers among themselves


def test_each_server_has_a_key_of_its_own_which_never_left_it(
    site_up: Site, admin: Admin, on: Run
) -> None:
    folder = "/var/lib/standfast/.ssh"
    keys = {on(name, f"sudo cat {folder}/id_ed25519.pub").split()[1] for name in NAMES}
    assert len(keys) == len(NAMES)
    private = {on(name, f"sudo sed -n 2p {folder}/id_ed25519").strip() for name in NAMES}
    kept = [f for f in site_up.folder.rglob("*") if f.is_file()]
    assert kept
    assert not [f for f in kept for key in private if key in f.read_text(errors="replace")]


PAIRS = [(one, other) for one in NAMES for other in NAMES if one != other]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_a_server_reads_its_peers_files_and_can_do_nothing_else_there(
    on: Run, one: str, other: str
) -> None:
    on(other, f"sudo -u standfast sh -c 'echo of {other} >/var/www/site/of-{other}'")
    attempts = {
        f"rsync {other}:/of-{other} /tmp/": "",
        f"cat /tmp/of-{other}": f"of {other}",
        f"rsync /etc/hostname {other}:/": "read-only server",
        f"rsync {other}:/../../../etc/passwd /tmp/": "do not use ..",
        f"ssh {other} id": "does not run rsync",
        f"ssh -tt {other}": "PTY allocation request failed",
        f"ssh -W 127.0.0.1:{MARIADB} {other}": "prohibited",
    }
    each = [f"sudo -u standfast {command} 2>&1 </dev/null; echo ===" for command in attempts]
    said = on(one, f"cd /tmp; {'; '.join(each)}").split("===")
    for (command, meant), found in zip(attempts.items(), said, strict=False):
        assert meant in found if meant else not found.strip(), (command, found)
    on(other, f"sudo rm /var/www/site/of-{other}")
    on(one, f"sudo rm /tmp/of-{other}")


def test_no_server_is_trusted_by_another_on_first_sight(on: Run) -> None:
    nobody = "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null"
    for one, other in PAIRS:
        said = on(one, f"cd /tmp; sudo -u standfast ssh {nobody} {other}", fails=True)
        assert "Host key verification failed" in said


# Files: uploads and the web server


@pytest.fixture
def trusted(on: Run) -> ssl.SSLContext:
    """Trusts the certificate that the master has for uploads, and no other."""
    text = on(MASTER.name, f"sudo cat {CERTIFICATE}")
    return ssl.create_default_context(cadata=text[text.index("-----BEGIN CERTIFICATE") :])


@pytest.fixture
def password(on: Run) -> str:
    """The admin's password for uploads, looked up as an admin does."""
    return on(MASTER.name, f"sudo cat {PASSWORDS}/ann").strip()


class Client(ftplib.FTP_TLS):
    """Goes on with the control connection's TLS session for data, as FTP clients do: only so
    does the server know that whoever fetches the data is the one who asked for it."""

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        """Opens the connection for data."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        wrapped = self.context.wrap_socket(
            connection, server_hostname=self.host, session=self.sock.session
        )
        return wrapped, size


@pytest.fixture
def uploads(trusted: ssl.SSLContext, password: str) -> Iterator[Client]:
    """An admin's FTP client, logged in."""
    with Client(context=trusted, timeout=10) as client:
        client.connect(MASTER.address)
        client.login("ann", password)
        client.prot_p()
        yield client


def web(address: str, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_what_the_admin_uploads_is_served_and_belongs_to_the_sites_owner(
    uploads: Client, on: Run
) -> None:
    uploads.mkd("news")
    uploads.storbinary("STOR news/today.txt", io.BytesIO(b"fresh\n"))
    assert web(MASTER.address, "news/today.txt") == (200, "fresh\n")
    look = "sudo stat -c '%U:%G %a' /var/www/site/news /var/www/site/news/today.txt"
    assert on(MASTER.name, look).split("\n")[:2] == [
        "standfast:www-data 2750",
        "standfast:www-data 640",
    ]
    uploads.delete("news/today.txt")
    uploads.rmd("news")


def test_php_runs_and_cannot_change_the_site(uploads: Client) -> None:
    page = b"<?php echo 6 * 7, @file_put_contents(__DIR__ . '/new', 'x') === false ? '!' : '?';"
    uploads.storbinary("STOR answer.php", io.BytesIO(page))
    assert web(MASTER.address, "answer.php") == (200, "42!")
    uploads.delete("answer.php")


def test_uploads_see_the_web_root_and_nothing_above_it(uploads: Client) -> None:
    assert uploads.pwd() == "/"
    for path in ("/etc/passwd", "../../../etc/passwd", "/var/lib/standfast/.ssh/id_ed25519"):
        with pytest.raises(ftplib.error_perm, match="550"):
            uploads.retrbinary(f"RETR {path}", lambda _: None)


def test_ftp_without_tls_is_refused_for_passwords_and_for_files(
    trusted: ssl.SSLContext, password: str
) -> None:
    with (
        ftplib.FTP(MASTER.address, timeout=10) as plain,
        pytest.raises(ftplib.error_perm, match="530 Non-anonymous sessions must use encryption"),
    ):
        plain.login("ann", password)
    with Client(context=trusted, timeout=10) as half:
        half.connect(MASTER.address)
        half.login("ann", password)
        with pytest.raises(ftplib.error_perm, match="522 Data connections must be encrypted"):
            ftplib.FTP.retrlines(half, "LIST")


def test_no_older_tls_than_1_2_is_spoken(trusted: ssl.SSLContext) -> None:
    trusted.set_ciphers("ALL:@SECLEVEL=0")  # what this machine itself would refuse
    for version in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            trusted.minimum_version = ssl.TLSVersion.TLSv1
            trusted.maximum_version = ssl.TLSVersion[version]
            trusted.minimum_version = ssl.TLSVersion[version]
        with Client(context=trusted, timeout=10) as client:
            client.connect(MASTER.address)
            refused = version in ("TLSv1", "TLSv1_1")
            with pytest.raises(ssl.SSLError) if refused else contextlib.nullcontext():
                client.auth()


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong"), ("root", "x"), ("anonymous", "x"), ("standfast", "")]
)
def test_nobody_uploads_without_a_password_of_their_own(
    trusted: ssl.SSLContext, site_up: Site, user: str, password: str
) -> None:
    with Client(context=trusted, timeout=10) as client:
        client.connect(MASTER.address)
        with pytest.raises(ftplib.error_perm, match="530"):
            client.login(user, password)


@pytest.mark.parametrize("name", NAMES)
def test_every_server_serves_its_files_and_no_hidden_ones(on: Run, name: str) -> None:
    address = next(server.address for server in SITE_SERVERS if server.name == name)
    write = "mkdir -p .git .well-known; for f in page .git/config .well-known/proof; do echo $f >$f"
    on(name, f"sudo -u standfast sh -c 'cd /var/www/site; {write}; done'")
    assert web(address, "page") == (200, "page\n")
    assert web(address, ".well-known/proof") == (200, ".well-known/proof\n")
    assert web(address, ".git/config") == (403, "")
    assert web(address, "") == (403, "")  # no list of files, and not Debian's own page
    on(name, "sudo sh -c 'cd /var/www/site; rm -r page .git .well-known'")


# The name service


@pytest.mark.parametrize("name", NAMES)
def test_questions_about_other_names_are_refused(site_lab: Lab, site_up: Site, name: str) -> None:
    address = str(site_up.server(name).address)
    question = bytes.fromhex("abcd01000001000000000000") + b"\x03www\x06debian\x03org\0\0\1\0\1"
    ask = (
        "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(5);"
        f"s.sendto({question!r},({address!r},53));print(s.recv(512).hex())"
    )
    for words in ([], site_lab.outside()):
        answer = subprocess.check_output([*words, "python3", "-c", ask], text=True)
        refused = 5  # RFC 1035, 4.1.1
        assert bytes.fromhex(answer)[3] & 0xF == refused


# What is checked before it counts


def test_the_servers_own_tools_take_each_file_and_refuse_a_spoilt_one(
    site_up: Site, on: Run
) -> None:
    steps = wanted(site_up, site_up.server(MASTER.name), Known())
    flat = [s for step in steps for s in (step.steps if isinstance(step, Guarded) else (step,))]
    checked = [step for step in flat if isinstance(step, File) and step.check]
    assert len(checked) == 6
    for step in checked:
        for text, fails in ((step.text, False), (f"{step.text}\nno such thing {{\n", True)):
            assert step.check is not None
            check = f"cat >/tmp/new; {step.check.replace('%s', '/tmp/new')}"
            on(
                MASTER.name,
                f"printf %s {shlex.quote(text)} | sudo sh -c {shlex.quote(check)}",
                fails=fails,
            )
    on(MASTER.name, "sudo rm /tmp/new")


# After a boot


def test_a_server_that_boots_is_behind_its_firewall_and_lets_its_admin_in(
    site_lab: Lab, site_up: Site, on: Run
) -> None:
    last = NAMES[-1]
    site_lab.machine(last).kill()
    site_lab.start(last)
    address = str(site_up.server(last).address)
    on(last, "systemctl is-system-running --wait")
    assert scan(site_lab.outside(), address).open == {HTTP, DNS}
    assert on(last, f"sudo nft list table inet standfast; head -1 {NFTABLES}")
