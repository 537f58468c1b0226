"""RESET MASTER and other ways back: such a server takes no writes, which no other would get."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from standfast.cluster.database import rejoin
from standfast.cluster.database.observe import observe
from standfast.cluster.status.heartbeat import event_sql
from standfast.cluster.status.judgement import judge
from standfast.cluster.status.observation import observe as look

from .machines import Machines

IDS = "SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"
WENT_BACK = "SELECT COUNT(went_back) > 0 FROM standfast.heartbeat WHERE server IN (0, @@server_id)"


def a_site(bare: Machines) -> Machines:
    """Three servers in use, whose own logs are some way along."""
    bare.set_up("mesh", 3, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    bare.level()
    for name in ("one", "two", "three"):
        bare[name].ask(*["INSERT INTO shop.t VALUES ()"] * 5)
    bare.level()
    beats = "SELECT seq FROM standfast.heartbeat WHERE server = @@server_id"
    assert bare.within(20, lambda: int(bare["two"].value(beats) or 0) > 5)
    return bare


def reset(bare: Machines) -> None:
    """As somebody does it who wants room on the disk."""
    bare["two"].ask("STOP ALL SLAVES", "RESET MASTER", "START ALL SLAVES")


def test_a_log_that_was_reset_stops_the_writes_without_any_help_and_nothing_is_lost(
    bare: Machines, tmp_path: Path
) -> None:
    a_site(bare)
    reset(bare)
    bare["two"].ask("INSERT INTO shop.t VALUES ()")
    (alone,) = bare["two"].ask("SELECT MAX(id) AS id FROM shop.t")[0]
    assert bare.within(10, lambda: bare["two"].value("SELECT @@global.read_only") == "1")
    assert bare["two"].value(WENT_BACK) == "1"
    status = judge(bare.site, look(bare.site, bare.remotes))
    assert [one.server for one in status if "its own log goes on" in one.words] == ["two"]
    (words,) = [each for each in bare.needs() if each.startswith("two: its own log")]
    assert words.endswith("by: standfast cluster rejoin two")
    file = tmp_path / "two.sql.gz"
    rejoin.rejoin(bare.site, bare.remotes, bare.vault, "two", file, lambda words: None)
    assert f"({alone['id']})" in gzip.decompress(file.read_bytes()).decode()
    bare["two"].ask("INSERT INTO shop.t VALUES ()")
    bare.level()
    assert len(bare.everywhere(IDS)) == 1
    assert bare.everywhere("SELECT @@global.read_only") == {"0"}
    assert bare.everywhere(WENT_BACK) == {"0"}
    assert bare.settle() == []


def test_it_stays_so_after_a_restart(bare: Machines) -> None:
    a_site(bare)
    reset(bare)
    assert bare.within(10, lambda: bare["two"].value("SELECT @@global.read_only") == "1")
    bare["two"].kill()
    bare["two"].start()
    bare["two"].wait()
    assert bare.within(10, lambda: bare["two"].value("SELECT @@global.read_only") == "1")


def test_one_whose_heart_does_not_beat_is_stopped_by_healing(bare: Machines) -> None:
    a_site(bare)
    bare["two"].ask("SET GLOBAL event_scheduler = OFF")
    reset(bare)
    assert observe(bare.site, bare.remotes).seen["two"].went_back
    assert any("two: its own log has gone back" in words for words in bare.needs())
    assert bare["two"].value("SELECT @@global.read_only") == "1"
    assert bare["two"].value(WENT_BACK) == "1"


def test_a_server_that_is_well_is_never_stopped(bare: Machines) -> None:
    a_site(bare)
    for _ in range(3):
        bare["two"].kill()
        bare["two"].start()
        bare["two"].wait()
        bare["two"].ask("FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES ()")
        assert not observe(bare.site, bare.remotes).seen["two"].went_back
    bare.settle()
    bare.level()
    bare["two"].purge_logs()
    assert bare.everywhere(WENT_BACK) == {"0"}
    assert bare.everywhere("SELECT @@global.read_only") == {"0"}


@pytest.mark.parametrize("again", [1, 2])
def test_an_older_heart_is_replaced(bare: Machines, again: int) -> None:
    bare.set_up("mesh", 2)
    bare.settle()
    bare["one"].ask(
        "SET sql_log_bin = 0",
        "DROP EVENT standfast.guard",
        "ALTER TABLE standfast.heartbeat DROP COLUMN seq, DROP COLUMN went_back",
    )
    assert "one: its heart beats" in bare.settle()
    for _ in range(again):
        bare["one"].remote.run("mariadb", event_sql(1))
    assert bare.within(
        10,
        lambda: (
            bare["one"].value("SELECT seq > 0 FROM standfast.heartbeat WHERE server = @@server_id")
            == "1"
        ),
    )
    assert bare.settle() == []


def test_the_hearts_accounts_can_do_nothing_else(bare: Machines) -> None:
    bare.set_up("mesh", 2)
    bare.settle()
    (events,) = bare["one"].ask("SHOW EVENTS FROM standfast")
    assert {event["Definer"] for event in events} == {
        "standfast_heartbeat@localhost",
        "standfast_guard@localhost",
    }
