"""What is known of real connections, and of which clients it is said that they hold a loop up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.watch.evidence.stack import Exchange, held_up
from standfast.watch.evidence.traffic import Connection, of_clients
from tests.unit.watch.journals import wait_until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A client at 127.0.0.9, or ::1, and its connection in this process."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    source = ("::1", 0) if ":" in request.param else ("127.0.0.9", 0)
    with (
        socket.create_server((request.param, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2], source_address=source) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def seen(pair: Pair) -> Connection:
    """The connection as the client's own, which this process has not accepted, is left out."""
    address = pair[0].getsockname()[0]
    (found,) = (one for one in of_clients(os.getpid()) if one.address == address)
    return found


def test_how_long_a_client_has_been_silent_is_known(pair: Pair) -> None:
    pair[0].send(b"x")
    wait_until(lambda: 0.3 < seen(pair).silent_s < 20)
    pair[0].send(b"x")
    wait_until(lambda: seen(pair).silent_s < 0.3)


def test_a_client_that_takes_nothing_in_is_behind(pair: Pair) -> None:
    assert not seen(pair).is_behind
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            pair[1].send(bytes(100_000))
    wait_until(lambda: seen(pair).is_behind)


def test_a_connection_to_another_service_is_no_clients() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=("127.0.0.8", 0)),
    ):
        assert [one for one in of_clients(os.getpid()) if one.address == "127.0.0.1"] == []


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert of_clients(2**22 + 1) == []
    assert not Path(f"/proc/{2**22 + 1}").exists()


@pytest.mark.parametrize(
    ("silent_s", "is_behind", "sends", "part"),
    [
        (1.0, False, True, "body"),
        (20.0, False, True, None),  # it may have sent all, and the application has it
        (1.0, False, False, None),  # what it sends is no body
        (60.0, True, False, "response"),
    ],
)
def test_who_still_sends_or_takes_nothing_holds_a_loop_up(
    silent_s: float, is_behind: bool, sends: bool, part: str | None
) -> None:
    connection = Connection("203.0.113.9", silent_s, is_behind)
    assert held_up(connection, Exchange("203.0.113.9", 0, sends), 60.0) == part
