"""A lab comes up over no other, nor over a network in which this machine is itself."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from standfast.lab import LabPlan, LabServer
from standfast.lab.taken import Link, objection

PLAN = LabPlan("shop", (LabServer("ie", "10.88.0.11"),), file="/a/site.toml")
OTHER = replace(PLAN, site="other", file="/b/site.toml")
NETWORK = IPv4Network("10.88.0.0/24")
HOME = Link("eth0", IPv4Network("192.0.2.0/24"))
LABS = {"shop": "/a/site.toml", "other": "/b/site.toml"}


def test_nothing_is_said_of_a_lab_that_is_down_or_is_this_one() -> None:
    assert objection(PLAN, [HOME], LABS) is None
    assert objection(PLAN, [HOME, Link(PLAN.bridge, NETWORK)], LABS) is None


def test_a_lab_that_has_these_addresses_is_named_with_its_file() -> None:
    said = objection(OTHER, [HOME, Link(PLAN.bridge, NETWORK)], LABS)
    assert said is not None
    assert "that of the lab shop, which is up" in said
    assert "standfast lab down -f /a/site.toml" in said


def test_another_file_of_the_same_name_is_another_site() -> None:
    copied = replace(PLAN, file="/c/site.toml")
    said = objection(copied, [Link(PLAN.bridge, NETWORK)], LABS)
    assert said is not None and "a lab of the name shop is up already, from /a/site.toml" in said
    # One whose file was moved, or whose file nobody has said, belongs to whoever has its name.
    assert objection(copied, [Link(PLAN.bridge, NETWORK)], {"shop": None}) is None
    assert objection(replace(PLAN, file=""), [Link(PLAN.bridge, NETWORK)], LABS) is None
    assert objection(copied, [HOME], LABS) is None


@pytest.mark.parametrize("network", ["10.88.0.0/24", "10.88.0.64/26", "10.0.0.0/8"])
def test_a_network_of_this_machine_is_refused(network: str) -> None:
    said = objection(PLAN, [Link("eth0", IPv4Network(network))], LABS)
    assert said is not None and "this machine is in itself (by eth0)" in said
