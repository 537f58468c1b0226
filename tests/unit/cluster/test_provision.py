"""What a server shall be like: in a safe order, with no more rights than are meant."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from pydantic import ValidationError

from standfast.cluster.inventory import Admin, Site
from standfast.cluster.provision import Known, wanted
from standfast.cluster.provision.gate import NFTABLES, SSHD
from standfast.cluster.provision.people import SUDOERS
from standfast.cluster.provision.servers import HOME, KNOWN_HOSTS
from standfast.cluster.steps import (
    Command,
    Directory,
    File,
    Guarded,
    KeyPair,
    Packages,
    Step,
    Unit,
    User,
)
from tests.tools import need

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpuIKgnDOm88h2iOhPLD7hoW87NjYoaQZQ/RmWc1eZw"
SITE = Site.model_validate(
    {
        "name": "shop",
        "domain": "example.org",
        "master": "ie",
        "packages": ["php-gd", "rsync"],
        "admins": [
            {"name": "ann", "keys": [f"{KEY} ann@desk"], "addresses": ["192.0.2.7/32"]},
            {"name": "bob", "keys": [KEY, KEY], "addresses": ["2001:db8::/64"]},
        ],
        "servers": [
            {"name": "ie", "address": "10.0.0.1", "location": "Dublin", "ssh_port": 2201},
            {"name": "nl", "address": "10.0.0.2", "location": "Utrecht", "ssh_port": 2202},
            {"name": "us", "address": "2001:db8:1::3", "location": "Austin", "first_port": 2022},
        ],
    }
)
NAMES = [server.name for server in SITE.servers]
OF_THE_DATABASE = File("/etc/mysql/ours.cnf", "", "what another part wants")
ALL = Known(
    public_keys={name: f"{KEY} standfast@{name}\n" for name in NAMES},
    host_keys={name: (f"{KEY} root@{name}\n",) for name in NAMES},
    database_steps=(OF_THE_DATABASE,),
)
#: Which package brings a unit.
PACKAGE_OF = {"apache2": "apache2", "named": "bind9", "nftables": "nftables", "vsftpd": "vsftpd"}
MODES = {
    "/home/ann/.ssh": ("ann", "ann", 0o700),
    "/home/ann/.ssh/authorized_keys": ("ann", "ann", 0o600),
    HOME: ("standfast", "standfast", 0o750),
    f"{HOME}/.ssh": ("standfast", "standfast", 0o700),
    f"{HOME}/.ssh/authorized_keys": ("standfast", "standfast", 0o600),
    SUDOERS: ("root", "root", 0o440),
    "/etc/standfast": ("root", "root", 0o700),
    "/var/www/site": ("standfast", "www-data", 0o2750),
}


def steps(name: str, known: Known = ALL) -> list[Step]:
    """The steps of a server, those within a guarded one too."""
    return list(_flat(wanted(SITE, SITE.server(name), known)))


def _flat(found: list[Step]) -> Iterator[Step]:
    for step in found:
        yield step
        if isinstance(step, Guarded):
            yield from step.steps


def files(name: str, known: Known = ALL) -> dict[str, File]:
    """The files of a server by path."""
    return {step.path: step for step in steps(name, known) if isinstance(step, File)}


@pytest.mark.parametrize(("path", "meant"), MODES.items(), ids=MODES)
def test_owners_and_modes_are_as_narrow_as_is_meant(path: str, meant: tuple[str, str, int]) -> None:
    places = {s.path: s for s in steps("ie") if isinstance(s, File | Directory)}
    step = places[path]
    assert (step.owner, step.group, step.mode) == meant


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_step_needs_comes_before_it(name: str) -> None:
    users, folders, packages = {"root"}, set(), set()
    for step in steps(name):
        if isinstance(step, User):
            users.add(step.name)
            folders.add(step.home)
        if isinstance(step, Packages) and not step.absent:
            packages |= set(step.names)
        if isinstance(step, Directory):
            assert step.owner in users, step
            folders.add(step.path)
        if isinstance(step, File):
            assert step.owner in users, step
            folder = str(PurePosixPath(step.path).parent)
            assert folder in folders or folder.startswith("/etc"), step
        if isinstance(step, KeyPair):
            assert step.user in users
            assert str(PurePosixPath(step.path).parent) in folders
        if isinstance(step, File) and step.path == SUDOERS:
            assert "sudo" in packages
        if isinstance(step, Unit) and step.name in PACKAGE_OF:
            assert PACKAGE_OF[step.name] in packages


@pytest.mark.parametrize("name", NAMES)
def test_people_come_before_the_gate_that_lets_only_them_in(name: str) -> None:
    order = wanted(SITE, SITE.server(name), ALL)
    gate = next(n for n, step in enumerate(order) if isinstance(step, Guarded))
    before, after = list(_flat(order[:gate])), list(_flat(order[gate + 1 :]))
    assert {"ann", "bob"} <= {step.name for step in before if isinstance(step, User)}
    # What listens to others than this machine is made to do so behind the firewall.
    assert OF_THE_DATABASE in after
    assert not any(isinstance(step, Unit) and step.running for step in before)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_lets_in_changes_only_where_it_undoes_itself(name: str) -> None:
    ways_in = {
        SSHD, NFTABLES, SUDOERS,
        "/home/ann/.ssh/authorized_keys", "/home/bob/.ssh/authorized_keys",
    }  # fmt: skip
    order = wanted(SITE, SITE.server(name), ALL)
    loose = [step for step in order if not isinstance(step, Guarded)]
    for step in loose:
        if isinstance(step, File):
            assert step.path not in ways_in
            assert step.tells not in ("ssh", "nftables")
        if isinstance(step, Unit):
            assert step.name not in ("ssh", "nftables")
    guarded = [step for step in order if isinstance(step, Guarded)]
    assert len(guarded) == 1
    assert {step.path for step in guarded[0].steps if isinstance(step, File)} == ways_in


def test_uploads_are_taken_by_the_master_alone() -> None:
    for name in NAMES:
        installed = {n for s in steps(name) if isinstance(s, Packages) and not s.absent
                     for n in s.names}  # fmt: skip
        absent = {n for s in steps(name) if isinstance(s, Packages) and s.absent for n in s.names}
        master = name == SITE.master
        assert ("vsftpd" in installed, "vsftpd" in absent) == (master, not master)
        assert ("/etc/vsftpd.conf" in files(name)) == master
        assert ("40000-40099" in files(name)[NFTABLES].text) == master


def test_packages_of_the_site_come_along_once_each() -> None:
    for name in NAMES:
        names = [n for s in steps(name) if isinstance(s, Packages) for n in s.names]
        assert "php-gd" in names
        assert len(names) == len(set(names))


def test_each_port_is_the_servers_own() -> None:
    for server in SITE.servers:
        assert f"\nPort {server.ssh_port}\n" in files(server.name)[SSHD].text
        assert f"dport {{ {server.ssh_port}, 3306" in files(server.name)[NFTABLES].text


def test_sshd_lets_in_people_and_the_servers_user_by_key_alone() -> None:
    lines = files("nl")[SSHD].text.splitlines()
    assert "AllowUsers ann bob standfast" in lines
    refused = {"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin no"}
    assert refused < set(lines)


def test_the_firewall_knows_peers_and_admins_and_not_the_server_itself() -> None:
    text = files("nl")[NFTABLES].text
    assert "{ 10.0.0.1/32, 192.0.2.7/32 }" in text
    assert "{ 2001:db8::/64, 2001:db8:1::3/128 }" in text


def test_a_peers_key_lets_it_read_the_sites_files_from_its_address_and_nothing_else() -> None:
    lines = files("ie")[f"{HOME}/.ssh/authorized_keys"].text.splitlines()
    command = 'command="/usr/bin/rrsync -ro /var/www/site"'
    assert lines == [
        f'restrict,from="10.0.0.2",{command} {KEY} nl',
        f'restrict,from="2001:db8:1::3",{command} {KEY} us',
    ]


def test_peers_are_known_by_their_host_keys_at_the_first_port_and_at_their_own() -> None:
    assert files("ie")[KNOWN_HOSTS].text.splitlines() == [
        f"10.0.0.2,[10.0.0.2]:2202 {KEY}",
        f"2001:db8:1::3,[2001:db8:1::3]:2022 {KEY}",
    ]


@pytest.mark.parametrize("missing", NAMES[1:])
def test_lists_of_peers_are_left_alone_until_all_are_known(missing: str) -> None:
    some = Known(
        public_keys={n: k for n, k in ALL.public_keys.items() if n != missing},
        host_keys={n: k for n, k in ALL.host_keys.items() if n != missing},
    )
    assert f"{HOME}/.ssh/authorized_keys" not in files("ie", some)
    assert KNOWN_HOSTS not in files("ie", some)
    assert f"{HOME}/.ssh/authorized_keys" in files(missing, some)  # itself it need not know


def test_a_site_of_one_server_has_no_peers_and_waits_for_none() -> None:
    alone = SITE.model_copy(update={"servers": SITE.servers[:1]})
    found = {s.path: s for s in wanted(alone, alone.servers[0], Known()) if isinstance(s, File)}
    assert found[f"{HOME}/.ssh/authorized_keys"].text == ""
    assert found[KNOWN_HOSTS].text == ""


def test_only_people_become_root() -> None:
    rules = files("ie")[SUDOERS].text.splitlines()[1:]
    assert rules == ["ann ALL=(ALL:ALL) NOPASSWD: ALL", "bob ALL=(ALL:ALL) NOPASSWD: ALL"]


def test_who_left_the_site_loses_what_it_opened() -> None:
    people = {"/etc/standfast/ftp.people": "ann\n", SUDOERS: "NOPASSWD"}
    fewer = SITE.model_copy(update={"admins": SITE.admins[:1]})
    found = {s.path: s for s in _flat(wanted(fewer, fewer.server("ie"), ALL))
             if isinstance(s, File)}  # fmt: skip
    for path in (*people, SSHD):
        assert "ann" in found[path].text
        assert "bob" not in found[path].text


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_a_matter_of_chance(name: str) -> None:
    assert wanted(SITE, SITE.server(name), ALL) == wanted(SITE, SITE.server(name), ALL)


#: Those whose tool the Makefile installs; tests/lab has them all, on a server.
TOOLS = {NFTABLES: "nft"}
CHECKED = [
    step
    for name in NAMES
    for step in steps(name)
    if isinstance(step, File) and step.check and step.path in TOOLS
]


@pytest.mark.parametrize("step", CHECKED, ids=lambda step: step.path)
def test_the_tool_that_will_read_a_file_takes_it_and_refuses_a_spoilt_one(
    step: File, tmp_path: Path
) -> None:
    assert step.check is not None
    path = f"{os.environ['PATH']}:/usr/sbin"
    if os.geteuid() != 0:
        pytest.skip("nft asks the kernel, which needs root")
    need(TOOLS[step.path])
    for text, good in ((step.text, True), (f"{step.text}\nno such thing {{", False)):
        new = tmp_path / "new"
        new.write_text(text)
        done = subprocess.run(
            ["sh", "-c", step.check.replace("%s", str(new))], capture_output=True, text=True,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert (done.returncode == 0) == good, done.stderr


def test_commands_are_scripts_that_a_shell_can_read() -> None:
    scripts = [t for s in steps("ie") if isinstance(s, Command) for t in (s.met, s.command)]
    # Passwords, a certificate, and what is in force of sshd and the firewall.
    assert len(scripts) == 2 * (len(SITE.admins) + 3)
    for script in scripts:
        done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["root", "standfast", "www-data", "mysql"])
def test_an_admin_cannot_have_the_name_of_a_user_of_the_system(name: str) -> None:
    admin = {"name": name, "keys": [KEY], "addresses": ["192.0.2.7/32"]}
    with pytest.raises(ValidationError, match="the system's own"):
        Admin.model_validate(admin)
