"""What a lab consists of, and wrong names of its servers."""

from __future__ import annotations

import pytest

from standfast.errors import UsageError
from standfast.lab import LabPlan, LabServer

PLAN = LabPlan("shop", (LabServer("ie", "10.88.0.11"), LabServer("nl", "10.88.0.12")))


def test_a_link_is_between_two_servers_that_there_are() -> None:
    assert [server.name for server in PLAN.pair("nl", "ie")] == ["nl", "ie"]
    with pytest.raises(UsageError, match="a link is between two servers: 'nl' is named twice"):
        PLAN.pair("nl", "nl")


@pytest.mark.parametrize("name", ["li", "", "IE", "ie ", "\x1b[2J"])
def test_a_server_that_is_not_there_is_said_with_those_that_are(name: str) -> None:
    with pytest.raises(UsageError) as error:
        PLAN.pair("ie", name)
    assert str(error.value) == f"there is no server {name!r} in this lab; there are ie, nl"
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.85.1.12", "first three numbers"),
        ("fd00::12", "first three numbers"),
        ("somewhere", "first three numbers"),
        ("10.85.0.1", "this machine"),
        ("10.85.0.250", "the outside client"),
    ],
)
def test_an_address_that_one_bridge_cannot_carry_is_refused(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LabPlan("x", (LabServer("one", "10.85.0.11"), LabServer("two", address)))
