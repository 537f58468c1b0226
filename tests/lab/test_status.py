"""How a site is, asked as an admin does it, while its servers are cut off, killed and joined."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from standfast.cluster.inventory import Site
from standfast.lab import Lab
from tests.lab.conftest import cluster

pytestmark = pytest.mark.lab


def status(site: Site) -> tuple[int, dict[str, Any]]:
    """The exit status and what it says."""
    done = cluster(site._file, "status", "--json")
    return done.returncode, json.loads(done.stdout)


def wrong(site: Site) -> list[tuple[str, str]]:
    """What is wrong: on which server, and of which kind."""
    code, said = status(site)
    assert code == (1 if said["wrong"] else 0) and said["well"] == (not said["wrong"])
    return [(each["server"], each["kind"]) for each in said["wrong"]]


def comes_to(site: Site, wanted: set[tuple[str, str]], within_s: float = 60) -> bool:
    """Whether that, and nothing else, comes to be wrong, but for links that say why."""
    until = time.monotonic() + within_s
    while {one for one in wrong(site) if one[1] != "link"} != wanted:
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


@pytest.fixture
def well(site_up: Site) -> Iterator[Site]:
    """The site, of which nothing is wrong, before the test as after it."""
    assert all_is_well(site_up), status(site_up)
    yield site_up
    assert all_is_well(site_up), status(site_up)


def all_is_well(site: Site) -> bool:
    until = time.monotonic() + 60
    while wrong(site):
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def test_a_site_that_was_applied_is_well_and_says_all_of_itself(well: Site) -> None:
    code, said = status(well)
    assert code == 0
    assert [server["name"] for server in said["servers"]] == ["ie", "nl", "us"]
    for server in said["servers"]:
        assert set(server["services"].values()) == {"active"}
        assert ("vsftpd" in server["services"]) == (server["name"] == "ie")
        assert {link["from"] for link in server["database"]["links"]} == {"ie", "nl", "us"} - {
            server["name"]
        }
        assert abs(server["clock"]["offset_s"]) <= server["clock"]["accuracy_s"] < 5
        assert server["disks"][0]["free_b"] > 0
    assert len(said["heartbeats"]) == len(said["behind"]) == 9
    assert all(0 <= each["age_s"] < 5 for each in said["heartbeats"])
    done = cluster(well._file, "status")
    assert done.returncode == 0 and "all is well" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_rows_written_on_each_server_are_on_all(well: Site) -> None:
    done = cluster(well._file, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:7]]
    assert rows == [
        [str(number), place, "yes", "yes", "yes"]
        for number, place in zip(
            (1, 2, 3, 11, 12, 13), ("Dublin", "Utrecht", "Austin") * 2, strict=True
        )
    ]


def test_a_server_cut_off_from_the_others_is_told_apart_from_a_dead_one(
    well: Site, site_lab: Lab
) -> None:
    for other in ("ie", "us"):
        site_lab.cut("nl", other)
    try:
        assert comes_to(well, {("ie", "cut"), ("nl", "cut"), ("us", "cut")}), status(well)
        done = cluster(well._file, "status")
    finally:
        for other in ("ie", "us"):
            site_lab.join("nl", other)
    assert done.returncode == 1
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert {"ie gets nothing of nl", "nl gets nothing of ie and us", "us gets nothing of nl"} <= {
        *said
    }


def test_one_link_of_a_mesh_cut_cuts_nobody_off(well: Site, site_lab: Lab) -> None:
    site_lab.cut("ie", "us")
    try:
        time.sleep(12)
        assert {kind for _, kind in wrong(well)} <= {"link"}
    finally:
        site_lab.join("ie", "us")


def test_a_killed_server_is_away_and_comes_back_by_itself(well: Site, site_lab: Lab) -> None:
    site_lab.machine("us").kill()
    try:
        assert comes_to(well, {("us", "unreachable")}), status(well)
        done = cluster(well._file, "verify", "--json")
        proof = json.loads(done.stdout)
        assert done.returncode == 1
        assert [each["server"] for each in proof["wrong"]] == ["us"]
        assert [(row["id"], row["on"]) for row in proof["rows"]] == [
            (number, ["ie", "nl"]) for number in (1, 2, 11, 12)
        ]
        healed = cluster(well._file, "heal", "--yes")
        assert healed.returncode == 0, healed.stdout + healed.stderr
        assert "Away: " in healed.stdout and "Nothing to heal." in healed.stdout
    finally:
        site_lab.start("us")
