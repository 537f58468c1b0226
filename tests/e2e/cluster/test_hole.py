"""A log that lacks a transaction and has later ones: who is just there is refused, for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.cluster.database import Link, heal, links, what_is_missing
from standfast.cluster.database.actions import PassHole, Strict
from standfast.cluster.remote import RemoteError

from .conftest import site_in
from .machines import Machines

IDS = "SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"
STRICT = "SELECT @@global.gtid_strict_mode"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[Machines]:
    """Three servers that replicate from one another, with a table."""
    with site_in(tmp_path_factory.mktemp("hole"), empty_data) as machines:
        machines.set_up("mesh", 3, databases=["shop"])
        machines.settle()
        machines["one"].ask("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY)")
        machines.level()
        yield machines


def link(machines: Machines) -> Link:
    """That of three from two."""
    found = machines.look().seen["three"].link("two")
    assert found is not None
    return found


def make_hole(machines: Machines) -> None:
    """Two passes over a transaction of one's, as docs/replication.md has it; three is where that
    was, and gets nothing more but from two. No heart beats, which would bring it past that."""
    for machine in machines.all.values():
        machine.ask("SET GLOBAL event_scheduler = OFF")
    machines.level()
    machines["two"].ask("STOP ALL SLAVES")
    machines["one"].ask("INSERT INTO shop.t VALUES ()")
    assert machines.within(10, lambda: _level(machines, "one", "three"))
    at = machines.look().seen["one"].binlog_pos[1]
    machines["two"].ask(
        "SET GLOBAL gtid_slave_pos = "
        f"REPLACE(@@global.gtid_current_pos, '1-1-{at - 1}', '1-1-{at}')",
        "START ALL SLAVES",
    )
    machines["three"].ask("STOP ALL SLAVES")
    machines["one"].ask("INSERT INTO shop.t VALUES ()")
    assert machines.within(10, lambda: _level(machines, "one", "two"))
    machines["three"].ask("START SLAVE 'two'")
    assert machines.within(10, lambda: link(machines).io_errno == 1236)


def _level(machines: Machines, *names: str) -> bool:
    seen = machines.look().seen
    return len({seen[name].binlog_pos[1] for name in names}) == 1


def test_a_link_that_stands_before_a_hole_is_told_from_others_and_brought_past_it(
    three: Machines,
) -> None:
    make_hole(three)
    assert PassHole("three", "two") in heal(three.site, three.look())
    links.restart(three["three"].remote, "two")
    assert three.within(10, lambda: link(three).io_errno == 1236)  # a restart alone is of no use
    links.pass_hole(three["three"].remote, "two")
    assert link(three).io == "Yes"
    assert three.within(10, lambda: _level(three, "one", "three"))
    assert three.everywhere(STRICT) == {"1"}
    three.settle()
    three.level()
    assert three["three"].value(IDS) == three["one"].value(IDS)
    assert three.settle() == []


def test_whoever_gave_the_order_may_be_gone_and_strict_mode_is_on_again(three: Machines) -> None:
    make_hole(three)
    three["two"].kill()  # so that the link does not connect, and the order takes its time
    ended = three["three"].remote
    with (
        pytest.raises(RemoteError, match="did not answer within"),
        pytest.MonkeyPatch.context() as m,
    ):
        m.setattr(links, "_STOP_S", 1)
        m.setattr(links, "_CONNECTS_S", 3)
        links.pass_hole(ended, "two")
    assert three["three"].value(STRICT) == "0"
    assert three.within(10, lambda: three["three"].value(STRICT) == "1")
    three["two"].start()
    three["two"].wait()
    three.settle()
    three.level()
    assert three["three"].value(IDS) == three["one"].value(IDS)


def test_where_it_was_left_off_it_is_the_first_thing_that_healing_puts_right(
    three: Machines,
) -> None:
    three["three"].ask("SET GLOBAL gtid_strict_mode = OFF")
    assert heal(three.site, three.look()) == [Strict("three")]
    assert what_is_missing(three.site, three.remotes, three.vault) == [
        "three: gtid_strict_mode is on again"
    ]
    three.settle()
    assert three.everywhere(STRICT) == {"1"}
