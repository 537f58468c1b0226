"""The firewall, seen from outside, from a peer and from an admin: only what is meant is open."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from standfast.cluster.provision.firewall import FTP, MARIADB, PASSIVE, Openings, ruleset
from standfast.lab import Lab
from standfast.lab.commands import run
from standfast.lab.plan import inner_address6
from tests.lab.conftest import SERVERS, Admin

pytestmark = pytest.mark.lab
ONE, TWO, THREE = (server.address for server in SERVERS)
SSH = 22
#: One port of each kind, and some that nobody meant to open.
PORTS = (FTP, SSH, 25, 53, 80, 111, 443, MARIADB, 3307, 8080, *PASSIVE, PASSIVE[1] + 1)
_LISTEN = f"""
import select, socket
for port in {[port for port in PORTS if port != SSH]}:
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        listener = socket.socket(family)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(50)
        globals().setdefault("kept", []).append(listener)
print("listening", flush=True)
select.select([], [], [], 120)
"""
#: Which ports of an address take a connection; to be run anywhere.
_SCAN = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def takes(port):
    try:
        socket.create_connection((sys.argv[1], port), 0.8).close()
        return True
    except OSError:
        return False
ports = [int(port) for port in sys.argv[2:]]
with ThreadPoolExecutor(len(ports)) as pool:
    print(*(port for port, taken in zip(ports, pool.map(takes, ports)) if taken))
"""


@pytest.fixture
def walled(lab: Lab, admin: Admin) -> Iterator[list[str]]:
    """The addresses of a server on which everything listens, behind its firewall."""
    machine = lab.machine("one")
    inside = ["ip", "netns", "exec", lab.plan.namespace("one")]
    listening = subprocess.Popen(
        [*inside, "python3", "-c", _LISTEN], stdout=subprocess.PIPE, text=True
    )
    assert listening.stdout is not None
    assert listening.stdout.readline() == "listening\n"
    known = [lab.plan.gateway, inner_address6(lab.plan.gateway)]
    peers = [TWO, inner_address6(TWO)]
    rules = ruleset(Openings(ssh_port=SSH, admins=known, peers=peers, ftp=True))
    run(*inside, "nft", "-f", "-", given=rules)
    run(*inside, "nft", "-f", "-", given=rules)  # an earlier one is no hindrance
    yield [machine.server.address, inner_address6(machine.server.address)]
    run(*inside, "nft", "delete", "table", "inet", "standfast")
    listening.kill()
    listening.wait()


def scan(words: list[str], address: str) -> list[int]:
    """The open ports of an address, seen from wherever these words run a command."""
    scanner = [*words, "python3", "-c", _SCAN, address, *map(str, PORTS)]
    return [int(port) for port in subprocess.check_output(scanner, text=True).split()]


def test_each_sees_the_ports_that_are_meant_for_it_and_no_others(
    lab: Lab, walled: list[str]
) -> None:
    for_all = [53, 80, 443]
    for_known = sorted([*for_all, SSH, FTP, MARIADB, *PASSIVE])
    views = {
        "admin": ([], for_known),
        "peer": (["ip", "netns", "exec", lab.plan.namespace("two")], for_known),
        "a server that is no peer": (["ip", "netns", "exec", lab.plan.namespace("three")], for_all),
        "outside": (lab.outside(), for_all),
    }
    for who, (words, meant) in views.items():
        for address in walled:
            assert sorted(scan(words, address)) == meant, (who, address)


_HEAR = """
import socket
heard = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
heard.bind(("::", 546))
heard.settimeout(20)
print("listening", flush=True)
print(heard.recv(10).decode())
"""
#: Sends a word to a neighbour's port 546, from an own address and port.
_SAY = """
import socket, sys
own, port, to, word = sys.argv[1:]
scope = socket.if_nametoindex("eth0")
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.bind((own, int(port), 0, scope if own.startswith("fe80") else 0))
one.sendto(word.encode(), (to, 546, 0, scope if to.startswith("fe80") else 0))
"""


def near(lab: Lab, name: str) -> str:
    """The address of a server among its neighbours (fe80::)."""
    words = ["ip", "-n", lab.plan.namespace(name), "-6", "-o", "addr", "show", "dev", "eth0"]
    shown = subprocess.check_output([*words, "scope", "link"], text=True)
    return shown.split("inet6 ")[1].split("/")[0]


@pytest.mark.usefixtures("walled")
def test_a_lease_by_dhcp_is_renewed_and_nobody_else_speaks_to_that_port(lab: Lab) -> None:
    inside, beside = (
        ["ip", "netns", "exec", lab.plan.namespace(name), "python3", "-c"]
        for name in ("one", "two")
    )
    hearing = subprocess.Popen([*inside, _HEAR], stdout=subprocess.PIPE, text=True)
    assert hearing.stdout is not None
    assert hearing.stdout.readline() == "listening\n"
    for own, port, to, word in (
        (inner_address6(TWO), "547", inner_address6(ONE), "far"),
        (near(lab, "two"), "548", near(lab, "one"), "other"),
        (near(lab, "two"), "547", near(lab, "one"), "lease"),
    ):
        subprocess.check_call([*beside, _SAY, own, port, to, word])
    assert hearing.communicate(timeout=30)[0] == "lease\n"


def test_what_the_server_asks_others_itself_comes_back(
    lab: Lab, walled: list[str], admin: Admin
) -> None:
    inside = ["ip", "netns", "exec", lab.plan.namespace("one")]
    assert scan(inside, TWO) == [SSH]
    assert admin.ssh(ONE, "true").returncode == 0
