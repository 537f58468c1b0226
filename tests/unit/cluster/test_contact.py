"""Whose keys are trusted, and where that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast.cluster.contact import Stranger, follow, strangers, trust
from standfast.cluster.inventory import Site

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIFlGmLsMYVVnjeqC9dVDWaBFxRkYzO4nRgQFkjNvZgSJ"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path, ssh_port=2222)


def site_in(folder: Path, **server: object) -> Site:
    site = Site.model_validate(
        {
            "name": "shop",
            "domain": "shop.example",
            "master": "ie",
            "admins": [
                {
                    "name": "ann",
                    "keys": [f"ssh-ed25519 {BLOB}"],
                    "addresses": ["192.0.2.0/24"],
                }
            ],
            "servers": [{"name": "ie", "address": "127.0.0.1", "location": "Dublin", **server}],
        }
    )
    site.at(folder / "site.toml")
    return site


def known_hosts(site: Site) -> list[str]:
    return (site.secrets / "known_hosts").read_text().splitlines()


def test_a_server_is_known_on_its_own_port_and_its_providers_and_nobody_else_reads_it(
    site: Site,
) -> None:
    trust(site, [Stranger(site.servers[0], (KEY,), ())])
    assert sorted(known_hosts(site)) == [f"127.0.0.1 {KEY}", f"[127.0.0.1]:2222 {KEY}"]
    assert site.secrets.stat().st_mode & 0o777 == 0o700
    assert (site.secrets / "known_hosts").stat().st_mode & 0o777 == 0o600


def test_a_server_that_is_known_is_no_stranger(site: Site) -> None:
    trust(site, [Stranger(site.servers[0], (KEY,), ())])
    assert strangers(site, site.servers) == []


def test_a_server_that_gets_another_port_is_known_there_too(site: Site, tmp_path: Path) -> None:
    trust(site, [Stranger(site.servers[0], (KEY, "ssh-rsa AAAA"), ())])
    moved = site_in(tmp_path, ssh_port=2201, first_port=2222)
    follow(moved, moved.servers)
    lines = known_hosts(moved)
    assert [line for line in lines if "2201" in line] == [
        f"[127.0.0.1]:2201 {KEY}",
        "[127.0.0.1]:2201 ssh-rsa AAAA",
    ]
    follow(moved, moved.servers)
    assert known_hosts(moved) == lines


def test_nobody_is_known_by_following_alone(site: Site) -> None:
    follow(site, site.servers)
    assert not site.secrets.exists()
