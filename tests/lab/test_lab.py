"""The lab itself: whole servers that boot, are cut off, lose their power and come back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standfast.cluster.provision import EVERY_SITE
from standfast.errors import StandfastError
from standfast.lab import Lab, LabPlan, LabServer
from standfast.lab.plan import inner_address6
from tests.lab.conftest import NETWORK, SERVERS, SITE, Admin

pytestmark = pytest.mark.lab
NETWORK_2 = f"172.16.{NETWORK.rpartition('.')[2]}"
ONE, TWO, THREE = (server.address for server in SERVERS)


def reaches(admin: Admin, start: str, end: str) -> bool:
    """Whether a server gets an answer of another one's SSH, by IPv4 and IPv6 alike."""
    tries = "".join(
        f"timeout 2 bash -c 'read -n 4 x < /dev/tcp/{address}/22; echo $x' & "
        for address in (end, inner_address6(end))
    )
    answers = admin.ssh(start, f"{tries}wait").stdout.count("SSH-")
    assert answers in (0, 2)
    return answers == 2


def test_every_server_is_a_whole_debian_that_has_come_up(lab: Lab, admin: Admin) -> None:
    seen = set()
    for server in SERVERS:
        done = admin.ssh(
            server.address,
            "hostname; . /etc/os-release; echo $VERSION_ID; systemctl is-system-running --wait;"
            " cat /proc/1/comm; cat /etc/ssh/ssh_host_ed25519_key.pub",
        )
        name, version, state, first, key = done.stdout.strip().splitlines()
        assert (name, version, state, first) == (server.name, "12", "running", "systemd")
        seen.add(key.split()[1])
    assert len(seen) == len(SERVERS)  # each has host keys of its own


def test_a_cut_is_between_two_servers_alone_and_mended_by_joining(lab: Lab, admin: Admin) -> None:
    assert reaches(admin, ONE, TWO)
    lab.cut("one", "two")
    lab.cut("one", "two")  # what is cut can be cut again
    assert not reaches(admin, ONE, TWO)
    assert not reaches(admin, TWO, ONE)
    assert reaches(admin, ONE, THREE)
    assert reaches(admin, THREE, TWO)
    lab.join("two", "one")
    lab.join("two", "one")
    assert reaches(admin, ONE, TWO)


def test_a_server_that_loses_its_power_comes_back_with_what_it_had_written(
    lab: Lab, admin: Admin
) -> None:
    assert admin.ssh(TWO, "echo kept > /root/kept; sync").returncode == 0
    lab.machine("two").kill()
    assert not lab.machine("two").answers()
    assert lab.machine("two").nspawn() is None
    with pytest.raises(StandfastError, match="two has no power already: standfast lab start two"):
        lab.kill("two")
    assert admin.ssh(ONE, "true").returncode == 0
    lab.start("two")
    assert admin.ssh(TWO, "cat /root/kept").stdout == "kept\n"


def test_restored_servers_are_as_new(lab: Lab, admin: Admin) -> None:
    assert admin.ssh(ONE, "touch /root/changed; sync").returncode == 0
    lab.restore()
    Path(admin.key.parent, "known_hosts").unlink()
    assert admin.ssh(ONE, "ls /root/changed").returncode != 0


def test_the_console_works_where_no_network_does(
    lab: Lab, admin: Admin, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lab.machine("three").console(["systemctl", "stop", "ssh"]) == 0
    assert not lab.machine("three").answers()
    assert lab.machine("three").console(["cat", "/etc/hostname"]) == 0
    assert "three" in capfd.readouterr().out
    assert lab.machine("three").console(["systemctl", "start", "ssh"]) == 0
    lab.machine("three").wait()


def test_the_outside_client_is_neither_a_server_nor_this_machine(lab: Lab) -> None:
    shown = subprocess.check_output(lab.outside("ip", "-br", "addr"), text=True)
    assert f"{lab.plan.outside}/24" in shown
    look = f"read -n 4 x < /dev/tcp/{ONE}/22; echo $x"
    assert "SSH-" in subprocess.check_output(lab.outside("bash", "-c", look), text=True)


def test_up_on_a_lab_that_is_up_changes_nothing(lab: Lab) -> None:
    before = [machine.nspawn() for machine in lab.machines.values()]
    lab.up()
    assert [machine.nspawn() for machine in lab.machines.values()] == before


def test_down_leaves_nothing_behind_even_after_its_supervisors_were_killed() -> None:
    forward = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    lab = Lab(LabPlan(f"{SITE}-2", (LabServer("lost", f"{NETWORK_2}.11"),), (), EVERY_SITE))
    lab.up()
    supervisor = lab.machine("lost").nspawn()
    assert supervisor is not None
    subprocess.run(["kill", "-9", str(supervisor)], check=True)
    # Another command, later: nothing but the name of the site is known of it.
    Lab(LabPlan(f"{SITE}-2", (LabServer("other", f"{NETWORK_2}.12"),))).down()
    assert not lab.plan.folder.exists()
    assert lab.plan.bridge not in subprocess.check_output(["ip", "-br", "link"], text=True)
    assert lab.plan.bridge not in subprocess.check_output(["ip", "netns", "list"], text=True)
    assert lab.plan.table not in subprocess.check_output(["nft", "list", "tables"], text=True)
    assert str(lab.plan.folder) not in Path("/proc/mounts").read_text()
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == forward
    with pytest.raises(StandfastError, match="standfast lab up"):
        lab.kill("lost")
