"""What MariaDB runs with is compared, not what its file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.cluster.database import accounts, in_force
from standfast.cluster.remote import RemoteError
from standfast.cluster.status.judgement import judge
from standfast.cluster.status.observation import observe

from .conftest import site_in
from .machines import Machines


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[Machines]:
    """One server, which has its options; a test puts back what it has set."""
    with site_in(tmp_path_factory.mktemp("alone"), empty_data) as machines:
        machines.set_up("mesh", 1)
        machines.settle()
        yield machines


def difference(machines: Machines) -> str:
    """What a plan would show; an empty text where all is in force."""
    (met,) = in_force(machines.site, machines.site.servers[0]).values()
    remote = machines["one"].remote
    try:
        remote.run(met)
    except RemoteError:
        return remote.run(f"(\n{met}\n) || true")
    return ""


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("sync_binlog", "0", "1"),
        ("gtid_strict_mode", "OFF", "ON"),
        ("auto_increment_increment", "1", "10"),
        ("event_scheduler", "OFF", "ON"),
        ("read_only", "ON", "OFF"),
    ],
)
def test_a_variable_that_somebody_has_set_is_a_change(
    alone: Machines, name: str, wrong: str, right: str
) -> None:
    assert difference(alone) == ""
    alone["one"].ask(f"SET GLOBAL {name} = {wrong}")
    try:
        assert difference(alone).endswith(f"-{name} = {wrong}\n+{name} = {right}\n")
    finally:
        alone["one"].ask(f"SET GLOBAL {name} = {right}")
    assert difference(alone) == ""


def test_an_account_that_can_do_anything_and_comes_from_anywhere_is_said(alone: Machines) -> None:
    ((words, met),) = accounts.in_force().items()
    one = alone["one"]
    one.remote.run(met)
    one.ask(
        "CREATE USER boss@'192.0.2.%' IDENTIFIED BY 'of-a-test'",
        "CREATE USER shop@'%' IDENTIFIED BY 'of-a-test'",
        "GRANT ALL ON shop.* TO shop@'%'",
    )
    one.remote.run(met)  # who may do something somewhere is the application's affair
    one.ask("GRANT ALL ON *.* TO boss@'192.0.2.%'")
    try:
        with pytest.raises(RemoteError):
            one.remote.run(met)
        found = judge(alone.site, observe(alone.site, alone.remotes))
        assert any(words in one.words for one in found if one.kind == "force")
    finally:
        one.ask("DROP USER boss@'192.0.2.%', shop@'%'")
    one.remote.run(met)


def test_a_server_that_is_being_filled_is_left_as_it_is(alone: Machines) -> None:
    alone["one"].ask("SET GLOBAL read_only = ON", "CREATE DATABASE standfast_joining")
    try:
        assert difference(alone) == ""
    finally:
        alone["one"].ask("DROP DATABASE standfast_joining", "SET GLOBAL read_only = OFF")


def test_one_that_does_not_answer_is_its_units_affair(alone: Machines) -> None:
    alone["one"].kill()
    try:
        assert difference(alone) == ""
    finally:
        alone["one"].start()
        alone["one"].wait()
