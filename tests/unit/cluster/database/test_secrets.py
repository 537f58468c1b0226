"""What is kept on the admin's side: made once, readable by its owner alone, never shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from standfast.cluster.database import Vault, authority
from standfast.cluster.inventory import Site
from standfast.errors import StandfastError

from .sites import site


@pytest.fixture
def shop(tmp_path: Path) -> Site:
    one = site()
    one._file = tmp_path / "site.toml"
    return one


def test_secrets_are_made_once_and_each_server_has_its_own(shop: Site) -> None:
    first, second = shop.servers[:2]
    password = Vault(shop).password(first)
    assert len(password) > 30
    assert Vault(shop).password(first) == password
    assert Vault(shop).password(second) != password
    assert Vault(shop).certificate(first) == Vault(shop).certificate(first)


def test_only_the_owner_can_read_them(shop: Site) -> None:
    vault = Vault(shop)
    vault.certificate(shop.servers[0])
    vault.password(shop.servers[0])
    assert shop.secrets.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in shop.secrets.iterdir()} == {0o600}
    assert len(list(shop.secrets.iterdir())) == 3  # and nothing half written


def test_open_secrets_are_refused_with_what_to_do(shop: Site) -> None:
    vault = Vault(shop)
    vault.password(shop.servers[0])
    (shop.secrets / "replication-one").chmod(0o644)
    with pytest.raises(StandfastError, match="chmod 600"):
        vault.password(shop.servers[0])
    shop.secrets.chmod(0o755)
    with pytest.raises(StandfastError, match="chmod 700"):
        vault.password(shop.servers[0])


def test_nothing_that_is_printed_shows_a_secret(shop: Site) -> None:
    vault = Vault(shop)
    certificate = vault.certificate(shop.servers[0])
    assert "KEY" not in f"{vault!r} {certificate!r} {vars(vault)}"
    assert vault.password(shop.servers[0]) not in f"{vault!r} {vars(vault)}"


def test_many_that_ask_at_once_get_the_same(shop: Site) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Vault(shop).password(shop.servers[0]), range(32)))
    assert len(set(found)) == 1


def test_a_certificate_is_for_a_name_and_an_address_and_is_signed_by_the_site(shop: Site) -> None:
    shown = Vault(shop).certificate(shop.servers[0])
    root = x509.load_pem_x509_certificate(shown.authority.encode())
    mine = x509.load_pem_x509_certificate(shown.certificate.encode())
    mine.verify_directly_issued_by(root)
    names = mine.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["one"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("192.0.2.11")]
    assert not mine.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "PRIVATE" not in shown.certificate + shown.authority
    assert authority.subject("shop", "one") == "/O=shop/CN=one"


def test_a_server_that_moves_gets_a_new_certificate_of_the_same_authority(shop: Site) -> None:
    vault, first = Vault(shop), shop.servers[0]
    before = vault.certificate(first)
    moved = first.model_copy(update={"address": IPv4Address("192.0.2.99")})
    after = vault.certificate(moved)
    assert after.certificate != before.certificate
    assert after.authority == before.authority
    assert vault.certificate(moved) == after
