"""No secret touches the disk, and nothing else is changed."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from standfast.record.mask import MASK, Masker, truncated

SECRET_NAMES = (
    "password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "session",
    "card", "cvv", "PASSWORD", "userPassword", "X-Api-Key", "access_token", "sessionid",
    "card_number", "client_secret", "auth", "pin", "sid", "key", "sig", "user[password]",
    "password[]", "pass%77ord", "%2570assword", "pass.word", "csrfmiddlewaretoken", "jwt",
)  # fmt: skip
HARMLESS_NAMES = ("page", "sort", "q", "author", "keyword", "passage", "side", "monkey", "lang")

values = st.text(min_size=4, max_size=40).filter(str.strip)


@pytest.mark.parametrize("name", SECRET_NAMES)
@pytest.mark.parametrize(
    "uri", ["/p?{}", "/p?a=1&{}", "/p?{}&b=2", "/p?next=/login?{}", "/p?x;{}", "http://s/p?{}"]
)
def test_the_value_of_a_secret_name_is_masked_wherever_it_stands(name: str, uri: str) -> None:
    masker = Masker()
    for value in ("hunter2", "hunter2%26x", "a=hunter2", "hunter2;hunter2", "'hunter2"):
        written = uri.format(f"{name}={value}")
        assert not masker.is_clean(written.partition("?")[2])
        assert "hunter2" not in masker.uri(written)
        assert masker.uri(written).startswith(written.partition(name)[0])


@given(st.sampled_from(SECRET_NAMES), values)
def test_no_encoding_of_a_secret_value_survives(name: str, value: str) -> None:
    assume(value not in name and not set(value) <= set("*&;=?#"))
    for encoded in (quote(value, safe=""), quote_plus(value, safe="")):
        masked = Masker().uri(f"/pay?{name}={encoded}&page=1")
        assert masked == f"/pay?{name}={MASK}&page=1"


@given(
    st.lists(st.tuples(st.sampled_from(HARMLESS_NAMES), st.text(max_size=30)), max_size=6),
    st.text("abcdefghij/._-~%20", max_size=40),
)
def test_a_uri_without_secrets_is_left_as_it_is(
    parameters: list[tuple[str, str]], path: str
) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters)
    uri = f"/{path}?{query}" if query else f"/{path}"
    masker = Masker()
    assert masker.uri(uri) == uri
    assert masker.is_clean(query) or not query, "what was seen once is known"


def test_a_name_that_is_known_to_be_harmless_vouches_for_no_other() -> None:
    masker = Masker()
    masker.uri("/?page=1&sort=2")
    assert masker.is_clean("page=7&sort=x")
    for query in (
        "page=1&password=x",
        "page=1;password=x",
        "page=/?password=x",
        "password",
        "PAGE=",
    ):
        assert not masker.is_clean(query), query


def test_the_owners_own_names_are_masked_too() -> None:
    masker = Masker(["customer_no", "IBAN "])
    uri = "/?Customer-No=12345&my_iban=67890&page=3"
    assert masker.uri(uri) == f"/?Customer-No={MASK}&my_iban={MASK}&page=3"


def test_user_and_password_of_an_absolute_uri_are_masked() -> None:
    assert Masker().uri("http://me:pw@shop.example/x?y=1") == f"http://{MASK}@shop.example/x?y=1"


@pytest.mark.parametrize(
    "text",
    [
        "cannot log in with password=hunter2 today",
        "{'user': 'me', 'password': 'hunter2'}",
        '{"api_key": "hunter2", "page": 1}',
        "Form(token='hunter2 and more', page=1)",
        "mysql://shop:hunter2@db/shop refused",
        "POST /login?session=hunter2 HTTP/1.1",
        "secret=b'hunter2'",
    ],
)
def test_secrets_in_the_text_of_an_error_are_masked(text: str) -> None:
    masked = Masker().text(text)
    assert "hunter2" not in masked
    assert MASK in masked


def test_an_ordinary_traceback_is_left_as_it_is() -> None:
    text = 'Traceback:\n  File "/srv/shop.py", line 7, in pay\n    total = price * 2\nKeyError: 3\n'
    assert Masker().text(text) == text


def test_names_that_clients_make_up_cannot_fill_the_memory() -> None:
    masker = Masker()
    for number in range(5000):
        masker.uri(f"/?name{number}=1")
    assert len(masker._harmless) <= 1024
    masker.uri("/?" + "x" * 100_000 + "=1")
    assert max(map(len, masker._harmless)) <= 64


@given(st.ip_addresses())
def test_a_truncated_address_names_no_host(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    prefix = 24 if address.version == 4 else 48
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    assert truncated(str(address)) == str(network.network_address)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("192.0.2.7:4711", "192.0.2.0"),
        ("[2001:db8::7]:443", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("203.0.113.9, 10.1.2.3", "203.0.113.0, 10.1.2.0"),
        ("unknown", ""),
        ("", ""),
        ("203.0.113.9, somebody", "203.0.113.0"),
    ],
)
def test_addresses_are_truncated_in_every_form_that_proxies_write(given_: str, kept: str) -> None:
    assert truncated(given_) == kept
