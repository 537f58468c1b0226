"""What is to be put right among a server's accounts, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from standfast.cluster.database import Account, Seen, Vault, accounts
from standfast.cluster.inventory import Site

from .sites import site

BARE = Seen("one", 1, 1, True, {}, {}, {}, "", {}, ())


@pytest.fixture
def shop(tmp_path: Path) -> Site:
    one = site()
    one._file = tmp_path / "site.toml"
    return one


def words(shop: Site, *there: Account, **more: object) -> list[str]:
    """What is said to be missing where all that is wanted, and this, is there."""
    vault, server = Vault(shop), shop.servers[0]
    seen = replace(BARE, accounts=(*accounts.wanted(shop, server, vault), *there), **more)  # type: ignore[arg-type]
    found = accounts.missing(shop, server, seen, vault)
    assert all(one.statements[0] == "SET SESSION sql_log_bin = 0" for one in found)
    return [statement for one in found for statement in one.statements[1:]]


def test_each_peer_has_an_account_from_its_own_address_with_its_own_certificate(shop: Site) -> None:
    wanted = accounts.wanted(shop, shop.servers[0], Vault(shop))
    assert [(one.user, one.host, one.subject) for one in wanted] == [
        ("replica_two", "192.0.2.12", "/O=shop/CN=two"),
        ("replica_three", "192.0.2.13", "/O=shop/CN=three"),
    ]
    vault = Vault(shop)
    (first, second) = accounts.missing(shop, shop.servers[0], BARE, vault)
    text = " ".join([*first.statements, *second.statements, first.words, second.words])
    assert vault.password(shop.servers[1]) not in text
    assert words(shop) == []


@pytest.mark.parametrize(
    "account",
    [
        Account("", "localhost", ""),
        Account("blog", "%", ""),
        Account("replica_gone", "192.0.2.77", "*AB"),
        Account("root", "127.0.0.1", ""),
        Account("o`dd'", "%", ""),
    ],
)
def test_what_lets_anybody_in_goes(shop: Site, account: Account) -> None:
    (statement,) = words(shop, account)
    quoted = account.user.replace("`", "``")
    assert statement == f"DROP USER IF EXISTS `{quoted}`@`{account.host}`"


@pytest.mark.parametrize(
    "account",
    [
        Account("blog", "%", "*AB"),
        Account("mariadb.sys", "localhost", "", locked=True),
        Account("root", "localhost", "invalid", socket=True),
        Account("standfast_heartbeat", "localhost", None, socket=True, locked=True),
        Account("PUBLIC", "", None, role=True),
    ],
)
def test_what_asks_for_something_stays(shop: Site, account: Account) -> None:
    assert words(shop, account) == []


def test_root_can_still_get_in_at_the_server_itself(shop: Site) -> None:
    change = "ALTER USER `root`@`localhost` IDENTIFIED VIA unix_socket"
    assert words(shop, Account("root", "localhost", "")) == [change]


def test_an_account_with_another_password_or_more_rights_is_made_anew(shop: Site) -> None:
    vault, server = Vault(shop), shop.servers[0]
    right = accounts.wanted(shop, server, vault)
    for wrong in (
        replace(right[0], password_hash="*AB"),
        replace(right[0], privileges="18446744073709551615"),
        replace(right[0], subject=""),
        replace(right[0], others=1),
    ):
        seen = replace(BARE, accounts=(wrong, *right[1:]))
        (change,) = accounts.missing(shop, server, seen, vault)
        assert "CREATE OR REPLACE USER" in change.statements[1]


def test_the_test_database_goes_only_where_it_is_empty_and_nobodys(shop: Site) -> None:
    assert words(shop, databases={"test": 0}) == ["DROP DATABASE IF EXISTS test"]
    assert words(shop, databases={"test": 2}) == []
    assert "FLUSH PRIVILEGES" in words(shop, open_test=True)
