"""Secrets and addresses are harmless before they touch the disk."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from standfast.record.mask import MASK, ZEROS, Masker, truncated
from standfast.wsgi import Recorder

SECRET = "hunter2"
#: The rules as data, for the recorders of all languages.
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "mask.json").read_text())
BUILT_IN = VECTORS["names"]["masked"]
HARMLESS = VECTORS["names"]["harmless"]

MASKED = {
    "/?password=hunter2": "/?password=***",
    "/?item=3&password=hunter2&page=2": "/?item=3&password=***&page=2",
    "/?password=hunter2&password=hunter2": "/?password=***&password=***",
    # However it is spelt, a name is what it says.
    "/?PASSWORD=hunter2": "/?PASSWORD=***",
    "/?Api-Key=hunter2": "/?Api-Key=***",
    "/?p%61ssword=hunter2": "/?p%61ssword=***",
    "/?p%2561ssword=hunter2": "/?p%2561ssword=***",
    "/?pass+word=hunter2": "/?pass+word=***",
    "/?pass%00word=hunter2": "/?pass%00word=***",
    "/?a[password]=hunter2": "/?a[password]=***",
    "/?a%5Bpassword%5D%5B%5D=hunter2": "/?a%5Bpassword%5D%5B%5D=***",
    "/?password[]=hunter2&password[]=hunter2": "/?password[]=***&password[]=***",
    "/?user.password=hunter2": "/?user.password=***",
    "/?amp;token=hunter2": "/?amp;token=***",
    # Whatever is in it, a value is masked whole.
    "/?password=%68unter2": "/?password=***",
    "/?password==hunter2": "/?password=***",
    "/?password=a?b=hunter2": "/?password=***",
    "/?password=a;hunter2": "/?password=***",
    "/?password=a;b=hunter2&page=2": "/?password=***&page=2",
    "/?password=a%26b=hunter2": "/?password=***",
    "/?password=caf\xc3\xa9&x=1": "/?password=***&x=1",
    # Semicolons between parameters.
    "/?item=3;password=hunter2": "/?item=3;password=***",
    "/?item;pin=hunter2": "/?item;pin=***",
    "/?item?key=hunter2": "/?item?key=***",
    # In the value of another parameter, as it is or encoded, once or twice.
    "/?next=/login?token=hunter2&page=2": "/?next=/login?token=***&page=2",
    "/?next=%2Flogin%3Ftoken%3Dhunter2&page=2": "/?next=%2Flogin%3Ftoken%3D***&page=2",
    "/?next=%2f%3fa%3d1%26token%3dhunter2": "/?next=%2f%3fa%3d1%26token%3d***",
    "/?next=%252Flogin%253Ftoken%253Dhunter2": "/?next=%252Flogin%253Ftoken%253D***",
    "/?state=security_token%3Dhunter2": "/?state=security_token%3D***",
    "/?state=token=hunter2": "/?state=token=***",
    # User and password in an absolute URI.
    "http://joe:hunter2@shop.example/?x=1": "http://***@shop.example/?x=1",
    "http://hunter2@shop.example/": "http://***@shop.example/",
    "http://joe:a@hunter2@shop.example/": "http://***@shop.example/",
    "http://shop.example/?token=hunter2": "http://shop.example/?token=***",
}
UNCHANGED = (
    "/", "/?", "/?password", "/?password=", "/?password=&page=2", "/?page=2&token", "*",
    "shop.example:443", "http://shop.example/a@b?mail=joe@shop.example", "/?a=%41%3d&b=%zz%",
    "/password=1/token", "/?&&;;==", "/\xc3\xa9?\xff=\xfe",
)  # fmt: skip


@pytest.mark.parametrize(("uri", "masked"), MASKED.items())
def test_the_value_of_a_secret_parameter_is_masked_and_nothing_else(uri: str, masked: str) -> None:
    assert written(Masker(), uri) == masked


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_name_is_masked(name: str) -> None:
    assert written(Masker(), f"/?{name}={SECRET}") == f"/?{name}={MASK}"


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_only_resembles_a_secret_one_is_not_masked(name: str) -> None:
    assert written(Masker(), f"/?{name}={SECRET}") == f"/?{name}={SECRET}"


@pytest.mark.parametrize(("uri", "masked"), VECTORS["uris"])
def test_secrets_in_json_and_in_paths_are_masked_and_nothing_else(uri: str, masked: str) -> None:
    assert written(Masker(), uri) == masked


@pytest.mark.parametrize(("host", "masked"), VECTORS["hosts"])
def test_a_user_and_password_in_front_of_a_host_are_masked(host: str, masked: str) -> None:
    fields = f"192.0.2.7\0GET\0/a\0{host}\0\0curl"
    assert Masker().addressed(fields).split("\0")[3] == masked


@pytest.mark.parametrize(("text", "masked"), VECTORS["texts"])
def test_secrets_in_an_error_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert Masker().text(text) == masked


@pytest.mark.parametrize("uri", UNCHANGED)
def test_what_holds_no_secret_stays_as_it_was_sent(uri: str) -> None:
    assert written(Masker(), uri) == uri


@pytest.mark.parametrize(
    "name", ["customer_no", "CustomerNo", "customer%5Fno", "my-customer-no[]", "customer.no"]
)
def test_a_name_of_the_owners_own_list_is_masked_however_it_is_spelt(name: str) -> None:
    assert written(Masker(["Customer-No"]), f"/?{name}=7") == f"/?{name}=***"
    assert written(Masker(), f"/?{name}=7") == f"/?{name}=7"


def test_a_name_in_another_script_is_masked_too() -> None:
    masker = Masker(["mot_de_passé", "пароль"])
    as_the_server_decodes_it = "пароль".encode().decode("latin-1")
    for name in (quote("пароль"), as_the_server_decodes_it, quote("MOT_DE_PASSÉ")):
        assert written(masker, f"/?{name}={SECRET}") == f"/?{name}={MASK}"


def test_an_owners_list_of_nothing_but_punctuation_masks_nothing_more() -> None:
    assert written(Masker(["", " ", "--"]), "/?item=3") == "/?item=3"


def test_what_was_learnt_of_one_query_never_lets_a_secret_of_another_through() -> None:
    masker = Masker()
    for uri in ("/?token", "/?next=/a", "/?a;b=1", "/?a%3D1", "/?x=token"):
        assert written(masker, uri) == uri
    for uri, masked in MASKED.items():
        assert written(masker, uri) == masked
    for number in range(3000):  # more names than are remembered
        assert written(masker, f"/?n{number}=1") == f"/?n{number}=1"
    for uri, masked in MASKED.items():
        assert written(masker, uri) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("KeyError: password=hunter2", "KeyError: password=***"),
        ("{'password': 'hunter2', 'item': 3}", "{'password': ***, 'item': 3}"),
        ('{"api_key": "hunter2"}', '{"api_key": ***}'),
        ("Login(user='joe', password='hunter2')", "Login(user='joe', password=***)"),
        ("token=b'hunter2', x=1", "token=***, x=1"),
        (r"{'password': 'a\'hunter2'}", "{'password': ***}"),
        ("{'password': 'hunter2", "{'password': ***"),
        ("GET /?a=1&token=hunter2 HTTP/1.1", "GET /?a=1&token=*** HTTP/1.1"),
        ("postgresql://joe:hunter2@db/shop is down", "postgresql://***@db/shop is down"),
        ("redis://:hunter2@cache:6379", "redis://***@cache:6379"),
        ("Form(token='hunter2 and more', page=1)", "Form(token=***, page=1)"),
        ("a=1, b='password', c", "a=1, b='password', c"),
        ("no password was given; author='joe'", "no password was given; author='joe'"),
    ],
)
def test_what_looks_like_a_secret_in_an_error_is_masked(text: str, masked: str) -> None:
    assert Masker().text(text) == masked


def test_an_ordinary_traceback_stays_as_it_is() -> None:
    text = 'Traceback:\n  File "/srv/shop.py", line 7, in pay\n    total = price * 2\nKeyError: 3\n'
    assert Masker().text(text) == text


def test_names_that_clients_make_up_cannot_fill_the_memory() -> None:
    masker = Masker()
    for number in range(5000):
        masker.is_clean(f"/?name{number}=1")
    assert len(masker._harmless) <= 1024
    masker.is_clean("/?" + "x" * 100_000 + "=1")
    assert max(map(len, masker._harmless)) <= 64


def test_uris_that_clients_make_up_cannot_fill_the_memory() -> None:
    masker = Masker()
    for number in range(5000):
        masker.is_clean("/?q=" + "x" * (number % 60) + chr(97 + number % 26) * (number // 60))
    assert 0 < len(masker.clean) <= 1024
    masker.is_clean("/?q=" + "x" * 100_000)
    masker.is_clean("/" + "x" * 100_000)
    assert max(map(len, masker.clean)) <= 160


#: What names are made of that are secret, nearly so, or not at all.
PIECES = st.sampled_from(
    ["pass", "Pass", "PASS", "sid", "Sid", "card", "dis", "to", "ken", "key", "api", "code", "q",
     "page", "_", "-", "[", "]", ".", "0", "1", "7", "42", "=", "&", "+", "A", "b", "?", ";", "%7"]
)  # fmt: skip


@given(
    st.sampled_from(["", "/", "/reset/", "/item/0123456789abcdef", "/token/a1b2c3d4e5f6a7b8c9d0"]),
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(["", "x1", "api7key"]),
)
@example("/", "AB1Pass=x", "")
@example("/", "dis1card=x", "")
@example("/", "x2=5", "x1")
def test_a_uri_is_clean_because_of_another_only_if_both_are(
    path: str, query: str, own: str
) -> None:
    masker = Masker([own])
    uri = f"{path}?{query}"
    for digit in "0123456789":
        masker.is_clean(re.sub("[0-9]", digit, uri))
    if uri.encode().translate(ZEROS) in masker.clean:
        assert Masker([own]).is_clean(uri)
        assert Masker([own]).uri(uri) == uri


@pytest.mark.parametrize("uri", ["/13", "/?page=3&q=lamp", "/item/31?a=1", "/?flag&b=27"])
def test_a_uri_that_differs_in_numbers_from_a_clean_one_needs_no_second_look(uri: str) -> None:
    masker = Masker()
    assert masker.is_clean(uri)
    assert uri.replace("3", "9").replace("1", "8").encode().translate(ZEROS) in masker.clean


#: Takes a few seconds, or many minutes where the work grows with the square of the length. What
#: is limited is its share of the processor, which does not depend on what else the machine does.
LONG = """
import resource
from standfast.record.mask import Masker
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
masker = Masker()
for piece in ("%", "%25", "%3D", "=", ";", "?", "a", "a=b&", "token=", "'", "x='", chr(92), "://"):
    text = piece * (500_000 // len(piece))
    masker.uri("/?" + text), masker.text("password='" + text)
"""


def test_neither_a_query_nor_an_error_of_any_shape_takes_the_masker_long() -> None:
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, timeout=280)
    assert (done.returncode, done.stderr) == (0, b"")


#: Characters that stand in a query as they are and separate nothing.
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~[]'!*()"


@st.composite
def secret_names(draw: st.DrawFn) -> str:
    """A built-in name in any spelling, with harmless text around it."""
    name = draw(
        st.sampled_from(["password", "secret", "token", "api_key", "session", "card", "cvv"])
    )
    spelt = []
    for character in name:
        character = character.upper() if draw(st.booleans()) else character
        encoded = "".join(f"%{byte:02X}" for byte in character.encode())
        spelt.append(draw(st.sampled_from([character, encoded, encoded.replace("%", "%25")])))
    before, after = draw(st.text(PLAIN, max_size=5)), draw(st.text(PLAIN, max_size=5))
    return before + draw(st.sampled_from(["", "-", "%5B", "+", "%00"])).join(spelt) + after


PAIRS = st.tuples(st.text(PLAIN, max_size=8), st.text(PLAIN + "=?;%/+é\xff", max_size=20))


@given(
    st.lists(PAIRS, max_size=4),
    secret_names(),
    st.text(PLAIN + "=?;%/+ é\xff", max_size=20),
    st.text(PLAIN + "=?;%/+ é\xff", max_size=20),
    st.lists(PAIRS, max_size=4),
    st.sampled_from(["&", ";"]),
)
def test_a_value_under_a_secret_name_is_never_written(
    before: list[tuple[str, str]],
    name: str,
    first: str,
    last: str,
    after: list[tuple[str, str]],
    separator: str,
) -> None:
    secret = f"{first}QzQhunterQzQ{last}"
    pairs = [f"{name}={value}" for name, value in before]
    pairs += [f"{name}={secret}", *(f"{name}={value}" for name, value in after)]
    masked = written(Masker(), "/?" + separator.join(pairs))
    assert "QzQhunterQzQ" not in masked
    if separator == "&":
        assert (
            masked.split("&")[: len(before)]
            == written(Masker(), "/?" + "&".join([*pairs[: len(before)], ""])).split("&")[:-1]
        )


@given(secret_names(), st.text(min_size=1, max_size=20), st.integers(1, 2))
def test_a_secret_in_an_encoded_uri_within_a_uri_is_never_written(
    name: str, value: str, depth: int
) -> None:
    uri = f"/login?page=1&{name}=" + quote(f"QzQhunterQzQ{value}", safe="")
    for _ in range(depth):
        uri = "/step?" + urlencode({"next": uri})
    assert "QzQhunterQzQ" not in written(Masker(), uri)


@given(st.lists(st.tuples(st.sampled_from(HARMLESS), st.text("xyz012 ?;%/+é", max_size=20))))
def test_a_uri_without_secrets_comes_out_unchanged(pairs: list[tuple[str, str]]) -> None:
    masker = Masker()
    for uri in ("/shop?" + urlencode(pairs), "/shop?" + "&".join(map("=".join, pairs))):
        assert written(masker, uri) == uri
        assert written(masker, uri) == uri  # and when its names are known


@pytest.mark.parametrize("clean_first", [True, False])
def test_no_byte_of_a_secret_reaches_the_journal(clean_first: bool, tmp_path: Path) -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        raise ValueError(f"login failed: password='{SECRET}'")

    recorder = Recorder(app, name="mask", journal=str(tmp_path / str(clean_first)))
    queries = ["item=3", f"item=3&password={SECRET}", f"next=%2F%3Ftoken%3D{SECRET}"]
    for query in queries if clean_first else reversed(queries):
        with pytest.raises(ValueError, match="login failed"):
            recorder({"REQUEST_METHOD": "GET", "RAW_URI": "/?" + query}, lambda *_: None)
    data = b"".join(path.read_bytes() for path in tmp_path.glob("*/*/*"))
    assert data.count(b"ValueError: login failed: password=***") == 3
    assert b"item=3&password=***" in data
    assert SECRET.encode() not in data


@pytest.mark.parametrize(
    ("addresses", "kept"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("192.0.2.77:4711", "192.0.2.0"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::"),
        ("[2001:db8:aaaa:bbbb::1]:4711", "2001:db8:aaaa::"),
        ("[2001:db8:aaaa:bbbb::1]", "2001:db8:aaaa::"),
        ("fe80::1%eth0", "fe80::"),
        ("203.0.113.9, 192.0.2.77,2001:db8::1", "203.0.113.0, 192.0.2.0, 2001:db8::"),
        ("unknown, 192.0.2.77, _hidden", "192.0.2.0"),
        ("", ""),
        ("192.0.2.777", ""),
        ("joe's phone", ""),
        ("1:2:3", ""),
        ("\x00\xff, ,,", ""),
    ],
)
def test_of_an_address_only_the_network_is_kept_and_of_garbage_nothing(
    addresses: str, kept: str
) -> None:
    assert truncated(addresses) == kept


def test_an_ipv6_address_that_stands_for_an_ipv4_one_loses_its_host_too() -> None:
    assert truncated("::ffff:192.0.2.77") == "::"


@given(st.ip_addresses())
def test_a_network_is_all_that_two_of_its_hosts_leave_behind(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    network = ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False)
    assert truncated(str(network[-1])) == truncated(str(address)) == str(network[0])


@given(st.text(max_size=60))
def test_whatever_calls_itself_an_address_is_kept_as_networks_only(text: str) -> None:
    for part in filter(None, truncated(text).split(", ")):
        address = ipaddress.ip_address(part)
        assert int(address) % 2 ** (8 if address.version == 4 else 80) == 0


def written(masker: Masker, uri: str) -> str:
    """What a recorder writes of ``uri``: it asks first whether there is anything to mask."""
    is_known = uri.encode("utf-8", "replace").translate(ZEROS) in masker.clean
    if not is_known and not masker.is_clean(uri):
        uri = masker.uri(uri)
    return masker.addressed(f"\0\0{uri}\0\0\0").split("\0")[2]
