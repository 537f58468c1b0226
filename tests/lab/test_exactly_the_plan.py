"""``apply`` does what was agreed to, and a server that is dead holds up no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from standfast.cluster import building
from standfast.cluster.building import Done, Plan
from standfast.cluster.database import Vault
from standfast.cluster.engine import Change, PyinfraEngine
from standfast.cluster.inventory import Site
from standfast.cluster.lease import held
from standfast.cluster.remote import reach
from standfast.errors import StandfastError
from standfast.lab import Lab
from tests.lab.conftest import cluster

pytestmark = pytest.mark.lab
FILE = "/etc/apt/apt.conf.d/60standfast"
ACCOUNTS = "SELECT User FROM mysql.global_priv WHERE User LIKE 'careless%' ORDER BY User"


def plan(site: Site) -> Plan:
    return building.plan(site, PyinfraEngine, Vault(site), lambda words: None)


def apply(
    site: Site, planned: Plan | None, agreed: Callable[[Sequence[Change]], bool]
) -> tuple[Done, list[str]]:
    said: list[str] = []
    with held(site, "apply", partial(reach, site)) as hold:
        done = building.apply(
            site, PyinfraEngine, Vault(site), lambda change: said.append(change.title),
            lambda words: None, planned, agreed, hold,
        )  # fmt: skip
    return done, said


def on(site: Site, name: str, script: str, given: str = "") -> str:
    return reach(site, site.server(name)).run(script, given)


def careless(site: Site, name: str) -> None:
    """Somebody makes an account without a password, on one server alone."""
    on(site, "nl", "mariadb", f"SET sql_log_bin = 0; CREATE USER {name}@'192.0.2.1'")


def test_files_and_databases_are_in_one_plan_and_what_turns_up_later_is_asked_for(
    site_up: Site,
) -> None:
    on(site_up, "nl", f"echo >>{FILE}")
    careless(site_up, "careless")
    planned = plan(site_up)
    assert [change.title for change in planned.changes] == [
        f"file {FILE}",
        "nl: remove an account with an empty password: careless@192.0.2.1",
    ]
    careless(site_up, "careless_later")
    asked: list[str] = []

    def refused(changes: Sequence[Change]) -> bool:
        asked.extend(change.title for change in changes)
        return False

    with pytest.raises(StandfastError, match="was not in the plan, and was not agreed to: nl: rem"):
        apply(site_up, planned, refused)
    assert asked == ["nl: remove an account with an empty password: careless_later@192.0.2.1"]
    assert on(site_up, "nl", "mariadb -N", ACCOUNTS) == "careless\ncareless_later\n"
    assert not on(site_up, "nl", f"cat {FILE}").endswith("\n\n")
    on(site_up, "us", f"echo >>{FILE}")
    with pytest.raises(StandfastError, match=f"was not agreed to: file {FILE}"):
        apply(site_up, planned=Plan(()), agreed=refused)
    _, said = apply(site_up, plan(site_up), refused)
    assert len(said) == 3
    assert on(site_up, "nl", "mariadb -N", ACCOUNTS) == ""


def test_servers_of_another_site_are_refused_by_its_name(site_up: Site, tmp_path: Path) -> None:
    other = tmp_path / "site.toml"
    other.write_text(site_up._file.read_text().replace('name = "shop"', 'name = "club"', 1))
    for words in (("plan", "--yes"), ("apply", "--yes")):
        refused = cluster(other, *words)
        assert refused.returncode == 1
        assert "nl belongs to the site shop: /etc/standfast/site there says so." in refused.stderr
        assert "Nothing was done." in refused.stderr
    assert on(site_up, "nl", "cat /etc/standfast/site").startswith("shop ")
    assert on(site_up, "nl", "ls /run/standfast") == "lock\n"


def test_a_dead_server_is_named_and_the_others_are_done(site_up: Site, site_lab: Lab) -> None:
    on(site_up, "us", f"echo >>{FILE}")
    site_lab.machine("nl").kill()
    try:
        planned = cluster(site_up._file, "plan")
        assert f"file {FILE}" in planned.stdout
        assert "Left out: nl (" in planned.stderr
        assert planned.returncode == 1
        applied = cluster(site_up._file, "apply", "--yes")
        assert f"us: file {FILE}" in applied.stdout
        assert "Left out: nl (" in applied.stderr
        assert "heartbeat" in applied.stderr
        assert applied.returncode == 1
    finally:
        site_lab.start("nl")
    until = time.monotonic() + 60
    while cluster(site_up._file, "heal", "--yes").returncode:  # its database is still starting
        assert time.monotonic() < until
