"""A whole site, as its admin handles it: applied again, turned into a ring, cut, killed, healed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from standfast.cluster.inventory import Site, load_site
from standfast.cluster.remote import reach
from standfast.lab import Lab
from tests.lab.conftest import cluster

pytestmark = pytest.mark.lab
_RING = '\n[database]\ntopology = "ring"\ndatabases = ["shop"]\n'
NAMES = ("ie", "nl", "us")


@pytest.fixture(scope="module")
def ring(site_up: Site) -> Iterator[Site]:
    """The site turned into a ring; afterwards it is what it was."""
    file = site_up._file
    before = file.read_text()
    file.write_text(before + _RING)
    turned = cluster(file, "apply", "--yes", timeout_s=200)
    assert turned.returncode == 0, turned.stdout + turned.stderr
    sql(
        load_site(file),
        "ie",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, at TEXT)",
    )
    yield load_site(file)
    file.write_text(before)
    back = cluster(file, "apply", "--yes", timeout_s=200)
    assert back.returncode == 0, back.stdout + back.stderr


def sql(site: Site, name: str, statements: str) -> list[str]:
    """What a server's database answers, a line for each row."""
    said = reach(site, site.server(name)).run("mariadb --batch --skip-column-names", statements)
    return said.splitlines()


def order(site: Site, name: str) -> None:
    """Places an order at a server."""
    sql(site, name, f"INSERT INTO shop.orders (at) VALUES ('{name}')")


def orders(site: Site, name: str) -> list[str]:
    """All orders, as a server knows them."""
    return sql(site, name, "SELECT id, at FROM shop.orders ORDER BY id")


def all_have(site: Site, count: int, *, within_s: float = 40) -> list[str]:
    """The orders, once all servers have so many of them and the same."""
    until = time.monotonic() + within_s
    while True:
        known = [orders(site, name) for name in NAMES]
        if len(known[0]) == count and known[0] == known[1] == known[2]:
            return known[0]
        assert time.monotonic() < until, known
        time.sleep(0.3)


def test_applied_again_nothing_changes(site_up: Site) -> None:
    again = cluster(site_up._file, "apply", "--yes", timeout_s=200)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "No changes: every server is as the file says.\n"


def test_a_server_taken_out_moves_no_other_to_its_number(site_up: Site) -> None:
    file = site_up._file.with_name("fewer.toml")
    before, taken, after = site_up._file.read_text().partition('[[servers]]\nname = "nl"')
    file.write_text(before + after[after.index("[[servers]]") :])
    assert taken and [server.name for server in load_site(file).servers] == ["ie", "us"]
    read = "grep ^server_id /etc/mysql/mariadb.conf.d/60-standfast.cnf"
    us = reach(site_up, site_up.server("us"))
    for words in (("plan",), ("apply", "--yes")):
        refused = cluster(file, *words)
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert "us is number 3, the file makes it 2" in refused.stderr
        assert us.run(read).strip() == "server_id = 3"


def test_apart_each_server_goes_on_and_together_all_have_every_row(
    ring: Site, site_lab: Lab
) -> None:
    for name in NAMES:
        order(ring, name)
    before = len(all_have(ring, 3))
    for one, other in (("ie", "nl"), ("nl", "us"), ("us", "ie")):
        site_lab.cut(one, other)
    try:
        for name in (*NAMES, *NAMES):
            order(ring, name)
        for name in NAMES:
            assert {line.split("\t")[1] for line in orders(ring, name)[before:]} == {name}
    finally:
        for one, other in (("ie", "nl"), ("nl", "us"), ("us", "ie")):
            site_lab.join(one, other)
    found = all_have(ring, before + 6)
    ids = [int(line.split("\t")[0]) for line in found]
    assert len(set(ids)) == len(ids)
    numbers = {server.name: server.number for server in ring.servers}
    for line in found:
        key, name = line.split("\t")
        assert int(key) % 10 == numbers[name]


def test_the_ring_is_closed_around_a_dead_server_and_takes_it_back(
    ring: Site, site_lab: Lab
) -> None:
    before = len(orders(ring, "ie"))
    order(ring, "nl")
    all_have(ring, before + 1)
    site_lab.machine("nl").kill()
    try:
        told = cluster(ring._file, "status")
        assert told.returncode == 1
        assert "us  gets nothing of ie" in told.stdout or "ring" in told.stdout, told.stdout
        healed = cluster(ring._file, "heal", "--yes")
        assert "us: replicates from ie" in healed.stdout + healed.stderr
        order(ring, "ie")
        order(ring, "us")
        until = time.monotonic() + 30
        while not len(orders(ring, "ie")) == len(orders(ring, "us")) == before + 3:
            assert time.monotonic() < until, (orders(ring, "ie"), orders(ring, "us"))
            time.sleep(0.3)
    finally:
        site_lab.start("nl")
    until = time.monotonic() + 60
    while cluster(ring._file, "heal", "--yes").returncode:  # its database is still starting
        assert time.monotonic() < until
    all_have(ring, before + 3)
    order(ring, "nl")
    all_have(ring, before + 4)
    assert cluster(ring._file, "status").returncode == 0


def test_a_database_killed_under_load_loses_nothing_that_it_acknowledged(ring: Site) -> None:
    before = len(orders(ring, "ie"))
    for name in NAMES:
        remote = reach(ring, ring.server(name))
        load = (
            "for i in $(seq 60); do"
            f" mariadb -e \"INSERT INTO shop.orders (at) VALUES ('{name}')\" && echo $i; done"
        )
        writing = remote.start(load)
        time.sleep(0.6)
        remote.run("kill -KILL $(systemctl show --property MainPID --value mariadb)")
        acknowledged = writing.communicate(timeout=60)[0].split()
        assert acknowledged
        before += len(acknowledged)
        until = time.monotonic() + 30
        while "active" not in remote.run("systemctl is-active mariadb; true").split():
            assert time.monotonic() < until
            time.sleep(0.3)
    until = time.monotonic() + 60
    while True:
        known = [orders(ring, name) for name in NAMES]
        # A row may have been written whose acknowledgement the kill has cut off.
        if before <= len(known[0]) <= before + len(NAMES) and known[0] == known[1] == known[2]:
            return
        assert time.monotonic() < until, [len(each) for each in known]
        time.sleep(0.5)
