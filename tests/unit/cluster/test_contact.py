"""Whose keys are trusted, and where that is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations, takewhile
from pathlib import Path

import pytest

from standfast.cluster.contact import Stranger, fingerprints, follow, strangers, trust
from standfast.cluster.inventory import Site
from standfast.cluster.status.observation import admins_way
from standfast.errors import StandfastError

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


def test_fingerprints_stand_in_one_order_whichever_way_they_came() -> None:
    lines = [
        "3072 SHA256:bbb ie (RSA)",
        "256 SHA256:ccc ie (ED25519)",
        "256 SHA256:aaa a comment of some words (ECDSA)",
    ]
    wanted = ("SHA256:ccc (ED25519)", "SHA256:aaa (ECDSA)", "SHA256:bbb (RSA)")
    for order in permutations(lines):
        assert fingerprints(order) == wanted


def test_secrets_that_one_may_not_read_are_said_with_their_owner(
    site: Site, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("another user is needed, whom root alone can be")
    trust(site, [Stranger(site.servers[0], (KEY,), ())])
    for folder in (tmp_path, *takewhile(is_private, tmp_path.parents)):
        folder.chmod(0o755)
    with as_nobody():
        for ask in (admins_way, lambda one: strangers(one, one.servers)):
            with pytest.raises(StandfastError, match="belongs to root, and you may not read it"):
                ask(site)


def is_private(folder: Path) -> bool:
    return not folder.stat().st_mode & 0o001


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
