"""Who gets in: what is wrong with it undoes itself, and what is in force is what is compared."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standfast.cluster.contact import follow, strangers, trust
from standfast.cluster.engine import Change, EngineError, PyinfraEngine
from standfast.cluster.inventory import Server, Site, load_site
from standfast.cluster.own_keys import at_hand
from standfast.cluster.provision import gate, people
from standfast.cluster.remote import Remote, RemoteError, logins, reach
from standfast.cluster.risks import unproven
from standfast.cluster.steps import Guarded, Packages, Step
from standfast.lab import Lab

from .conftest import Admin

pytestmark = pytest.mark.lab
#: A change that nobody can prove is undone after so long here; else it is a minute, as it is for
#: the user: this machine may be busy.
SOON_S = 8


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the private halves ``ann`` and ``bob``."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name],
            check=True,
        )
    return folder


class Place:
    """The first server of the lab as a site of its own, whose file the tests change."""

    def __init__(self, lab: Lab, folder: Path, keys: Path) -> None:
        self.file = folder / "site.toml"
        self._gateway = lab.plan.gateway
        self._said: dict[str, Any] = {
            "address": lab.plan.servers[0].address, "port": 2222, "admins": ("ann",),
            "from": self._gateway, "key": {name: name for name in ("ann", "bob")},
        }  # fmt: skip
        self._keys = keys

    def says(self, **changed: Any) -> Site:
        """The site with what is changed in its file."""
        said = {**self._said, **changed}
        admins = "".join(
            f'[[admins]]\nname = "{name}"\naddresses = ["{said["from"]}"]\n'
            f'keys = ["{(self._keys / (said["key"][name] + ".pub")).read_text().strip()}"]\n'
            for name in said["admins"]
        )
        self.file.write_text(
            f'name = "shop"\ndomain = "shop.example"\nmaster = "one"\n'
            f'identity = "{self._keys / "ann"}"\n{admins}'
            f'[[servers]]\nname = "one"\nlocation = "here"\naddress = "{said["address"]}"\n'
            f"ssh_port = {said['port']}\n"
        )
        site = load_site(self.file)
        follow(site, site.servers)
        return site


def steps(site: Site, undo_s: int) -> list[Step]:
    """What decides who gets in, with a time to prove it."""
    found: list[Step] = [Packages(("sudo", "nftables"), "the test wants it"), *people.steps(site)]
    for step in gate.steps(site, site.servers[0]):
        assert isinstance(step, Guarded)
        found.append(replace(step, undo_s=undo_s))
    return found


def on(site: Site) -> tuple[Server, PyinfraEngine]:
    server = site.servers[0]
    return server, PyinfraEngine(reach(site, server).login, logins(site, server)[0])


def plan(site: Site) -> list[Change]:
    _, engine = on(site)
    try:
        return engine.look(steps(site, SOON_S))
    finally:
        engine.close()


def apply(site: Site, undo_s: int = 60) -> list[Change]:
    _, engine = on(site)
    try:
        return engine.carry_out(steps(site, undo_s), lambda change: None)
    finally:
        engine.close()
        # As the real one does, for the databases: so it is known how one got in.
        reach(site, site.servers[0])


def run(site: Site, command: str) -> str:
    """As the admin and as root, by a login of its own."""
    return Remote(logins(site, site.servers[0])[0]).run(command, kept=False)


def reached(site: Site) -> None:
    """Waits until a login works again: sshd that is reloaded listens anew."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            run(site, "true")
        except RemoteError:
            assert time.monotonic() < deadline_s
        else:
            return


@pytest.fixture(scope="module")
def place(
    lab: Lab, admin: Admin, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server that is set up as far as this goes; it is made new afterwards."""
    address = lab.plan.servers[0].address
    here = (keys / "ann.pub").read_text()
    done = admin.ssh(address, f"echo '{here.strip()}' >>/root/.ssh/authorized_keys")
    assert done.returncode == 0, done.stderr
    found = Place(lab, tmp_path_factory.mktemp("way-in"), keys)
    site = found.says()
    trust(site, strangers(site, site.servers))
    # Within one process pyinfra reads the keys of hosts once: here they are known on each port.
    found.says(port=2300)
    apply(site)
    assert plan(site) == []
    assert admin.ssh(address, "true").returncode != 0, "root is still let in"
    yield found
    lab.restore("one")


STATE = (
    "cat /home/ann/.ssh/authorized_keys /etc/sudoers.d/standfast"
    " /etc/ssh/sshd_config.d/00-standfast.conf /etc/nftables.conf; nft list ruleset; sshd -T"
)


@pytest.mark.parametrize(
    ("changed", "planned"),
    [
        ({"key": {"ann": "bob"}}, "/home/ann/.ssh/authorized_keys"),
        ({"admins": ("bob",)}, "00-standfast.conf"),
        ({"from": "203.0.113.9"}, "/etc/nftables.conf"),
    ],
    ids=["a key of somebody else", "another admin", "another network"],
)
def test_a_file_by_which_the_tool_would_not_get_in_is_undone(
    place: Place, changed: dict[str, Any], planned: str
) -> None:
    right = place.says()
    before = run(right, STATE)
    wrong = place.says(**changed)
    assert planned in " ".join(change.title for change in plan(wrong))
    with pytest.raises(EngineError, match=r"(?s)one: 'keys, sudo, .*' was undone.*as it was"):
        apply(wrong, SOON_S)
    assert run(place.says(), STATE) == before
    assert plan(right) == []


def test_a_port_is_changed_like_any_other_key_of_the_file(place: Place) -> None:
    site = place.says(port=2300)
    (change,) = plan(site)
    assert "+Port 2300" in (change.diff or "")
    apply(site)
    assert "port 2300" in run(site, "sshd -T").splitlines()
    assert plan(site) == []
    back = place.says()
    apply(back)
    assert plan(back) == []


def test_another_admin_comes_in_and_the_first_one_goes(place: Place) -> None:
    both = place.says(admins=("ann", "bob"))
    (said,) = unproven(both, plan(both), at_hand(both.identity_file))
    assert said.startswith("The keys of bob change")
    apply(both)
    assert run(both, "cat /home/bob/.ssh/authorized_keys").endswith(" bob\n")
    other = place.says(admins=("bob",), key={"bob": "ann"})
    apply(other)
    assert logins(other, other.servers[0])[0].user == "bob"
    assert run(other, "grep -c NOPASSWD /etc/sudoers.d/standfast") == "1\n"
    back = place.says()
    apply(back)
    assert plan(back) == []


@pytest.mark.parametrize(
    ("by_hand", "shown"),
    [
        ("nft delete table inet standfast", "+table inet standfast"),
        ("nft insert rule inet standfast input tcp dport 25 accept;"
         " nft add element inet standfast known4 '{ 192.0.2.66 }'", "-\t\ttcp dport 25 accept"),
        ("echo PasswordAuthentication yes >/etc/ssh/sshd_config.d/00-a.conf;"
         " systemctl reload ssh", "-passwordauthentication yes"),
        ("printf 'Match User root\\nPermitRootLogin yes\\n' >/etc/ssh/sshd_config.d/00-a.conf;"
         " systemctl reload ssh", "-permitrootlogin yes"),
    ],
    ids=["table", "rule", "option", "match"],
)  # fmt: skip
def test_what_is_in_force_and_not_in_the_file_is_a_change_and_is_mended(
    place: Place, by_hand: str, shown: str
) -> None:
    site = place.says()
    run(site, by_hand)
    reached(site)
    (change,) = plan(site)
    assert shown in (change.diff or "")
    if "00-a.conf" in by_hand:
        # Whose file that is the tool does not know.
        with pytest.raises(EngineError, match="sshd obeys its file alone"):
            apply(site)
        run(site, "rm /etc/ssh/sshd_config.d/00-a.conf; systemctl reload ssh")
        reached(site)
    apply(site)
    assert plan(site) == []


def test_a_link_in_an_admins_folder_leads_nowhere(place: Place) -> None:
    site = place.says()
    run(
        site,
        "echo precious >/root/precious; cd /home/ann/.ssh && ln -sf /root/precious authorized_keys2"
        " && cp -a authorized_keys spare && ln -sf spare authorized_keys",
    )
    apply(place.says(admins=("ann", "bob")))
    assert run(site, "cat /root/precious; stat -c %F /home/ann/.ssh/authorized_keys") == (
        "precious\nregular file\n"
    )
    apply(place.says())
