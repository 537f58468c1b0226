"""From which address a request comes: only what a trusted proxy says is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.settings import HOPS_LIMIT
from standfast.store.tables import ordinary_request, request, texts_of
from standfast.watch import Settings
from standfast.watch.inflight import in_flight
from standfast.watch.proxies import Proxies
from tests.unit.watch.journals import House, living

OURS = ("127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "unix")


def client(peer: str, forwarded: str, hops: int = HOPS_LIMIT, truncated: bool = False) -> str:
    return Proxies(OURS, hops, truncated=truncated).client(peer, forwarded)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "198.51.100.7", "198.51.100.7"),
        # What the client wrote stands to the left of what a proxy has seen.
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "10.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("10.0.0.5", "10.9.9.9, 10.1.2.3", "10.9.9.9"),
        # Ports, brackets, zones, addresses of one family written as the other.
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "[2001:db8:2::7]:443", "2001:db8:2::7"),
        ("127.0.0.1", " 2001:DB8:2::7 ", "2001:db8:2::7"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7, ::ffff:10.0.0.9", "198.51.100.7"),
        ("fe80::1%eth0", "198.51.100.7", "fe80::1%eth0"),
        # What is no address ends the way: the last that was believed counts.
        ("127.0.0.1", "198.51.100.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7, _hidden, 10.0.0.9", "10.0.0.9"),
        ("127.0.0.1", ",", "127.0.0.1"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        # Whoever is no proxy of ours may write what they like.
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("192.0.2.1", "127.0.0.1", "192.0.2.1"),
        ("11.0.0.1", "198.51.100.7, 10.0.0.1", "11.0.0.1"),
        ("somewhere", "198.51.100.7", "somewhere"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_trusted_proxy(
    peer: str, forwarded: str, expected: str
) -> None:
    assert client(peer, forwarded) == expected


def test_no_more_proxies_are_passed_than_there_are() -> None:
    assert client("127.0.0.1", "10.0.0.1, 10.0.0.2, 10.0.0.3", hops=1) == "10.0.0.3"
    assert client("127.0.0.1", "10.0.0.1, 10.0.0.2, 10.0.0.3", hops=2) == "10.0.0.2"


def test_an_address_that_was_truncated_stands_for_the_proxy_in_it() -> None:
    assert client("127.0.0.0", "198.51.100.0", truncated=True) == "198.51.100.0"
    assert client("127.0.0.0", "198.51.100.0") == "127.0.0.0"
    assert client("127.0.9.0", "198.51.100.0", truncated=True) == "127.0.9.0"


@given(st.text(), st.text())
def test_without_trusted_proxies_no_header_is_believed(peer: str, forwarded: str) -> None:
    assert Proxies(truncated=False).client(peer, forwarded) == peer


_ADDRESS = st.ip_addresses().map(str)


@given(_ADDRESS, st.lists(st.one_of(_ADDRESS, st.text(max_size=9)), max_size=40))
def test_nothing_is_believed_of_a_peer_that_is_not_trusted(peer: str, named: list[str]) -> None:
    if client(peer, "198.51.100.7") == peer:
        assert client(peer, ",".join(named)) == peer


@given(st.binary(max_size=200))
def test_whatever_the_texts_are_only_the_first_is_changed(raw: bytes) -> None:
    made = Proxies(("0.0.0.0/0", "::/0", "unix"), truncated=False).texts(raw)
    assert made.partition(b"\0")[1:] == raw.partition(b"\0")[1:]


@pytest.fixture
def house(tmp_path: Path) -> House:
    # The peer in these journals is 192.0.2.1, the header says 198.51.100.7.
    return House(tmp_path, Settings(keep_ordinary_s=1e9, trusted_proxies=("192.0.2.0/24",)))


def test_rows_of_every_kind_have_the_client_and_those_kept_whole_the_peer(house: House) -> None:
    alive = house.journal(living())
    alive.request("/ordinary")
    alive.request("/slow", duration_s=3)
    alive.request("/failed", 500)
    alive.begin("/open")
    house.drain()
    rows = house.rows(request)
    assert [(row.client, row.peer) for row in rows] == [("198.51.100.7", "192.0.2.1")] * 3
    (ordinary,) = house.rows(ordinary_request)
    assert texts_of(ordinary.raw)[0] == "198.51.100.7"


def test_what_was_open_and_ends_as_ordinary_keeps_its_client(house: House) -> None:
    alive = house.journal(living())
    seq = alive.begin("/open")
    house.drain()
    alive.end(seq)
    house.drain()
    assert house.rows(request) == []
    (ordinary,) = house.rows(ordinary_request)
    assert texts_of(ordinary.raw)[0] == "198.51.100.7"


def test_a_peer_that_is_no_trusted_proxy_is_the_client(tmp_path: Path) -> None:
    for number, trusted in enumerate(((), ("192.0.2.2",))):
        place = tmp_path / str(number)
        place.mkdir()
        house = House(place, Settings(trusted_proxies=trusted))
        house.journal(living()).request("/failed", 500)
        house.drain()
        row = house.row(request)
        assert (row.client, row.peer) == ("192.0.2.1", None)


def test_what_is_in_flight_shows_its_client(house: House) -> None:
    house.journal(living()).begin("/open")
    proxies = house.settings.proxies()
    for _ in range(2):
        (one,) = in_flight(str(house.folder), None, house.engine, proxies)
        assert one.client == "198.51.100.7"
        house.drain()
