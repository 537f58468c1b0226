"""Servers that join: beside one that holds data, later, interrupted on the way; and that leave."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from standfast.cluster.database import settle, sql

from .load import Load
from .machines import Local, Machines

AWKWARD = "a'b\\c\n\t\0 `€` 𝄞 NULL"


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def fill(machines: Machines, name: str) -> None:
    """Data of many kinds, as a site has before it has other servers."""
    machines[name].ask(
        "CREATE DATABASE `blog ü` CHARACTER SET utf8mb4",
        "CREATE TABLE `blog ü`.posts (id INT AUTO_INCREMENT PRIMARY KEY, words TEXT, raw BLOB)",
        f"INSERT INTO `blog ü`.posts (words, raw) VALUES ({sql.text(AWKWARD)}, 0x00ff27)",
        # So much that what the dump says at its end is far from what it says at its beginning.
        "CREATE TABLE `blog ü`.bulk (id INT PRIMARY KEY, words TEXT)",
        "INSERT INTO `blog ü`.bulk SELECT seq, REPEAT('x', 1000) FROM `blog ü`.seq_1_to_3000",
        "CREATE PROCEDURE `blog ü`.p() SELECT 1",
        "CREATE TRIGGER `blog ü`.t BEFORE INSERT ON `blog ü`.posts FOR EACH ROW SET NEW.raw = 'x'",
        "CREATE EVENT `blog ü`.e ON SCHEDULE EVERY 1 HOUR DO SELECT 1",
        "CREATE USER blog@localhost IDENTIFIED BY 'of-a-test'",
        "GRANT ALL ON `blog ü`.* TO blog@localhost",
    )


def same(machines: Machines) -> None:
    """All have what ``fill`` made."""
    for machine in machines.all.values():
        ((row,),) = machine.ask("SELECT words, HEX(raw) AS raw FROM `blog ü`.posts WHERE id < 10")
        assert row == {"words": AWKWARD, "raw": "00FF27"}
    assert machines.everywhere("SELECT COUNT(*) FROM `blog ü`.bulk") == {"3000"}
    count = "SELECT COUNT(*) FROM information_schema.{} WHERE {} = 'blog ü'"
    assert machines.everywhere(count.format("routines", "routine_schema")) == {"1"}
    assert machines.everywhere(count.format("triggers", "trigger_schema")) == {"1"}
    assert machines.everywhere(
        "SELECT COUNT(*) FROM information_schema.schema_privileges WHERE grantee LIKE '\\'blog%'"
    ).isdisjoint({"0"})


def test_the_data_of_the_first_server_goes_to_the_others_and_then_all_write(
    bare: Machines,
) -> None:
    bare.set_up("ring", 1)
    fill(bare, "one")
    bare.settle()
    assert bare.settle() == []
    load = Load(bare["one"], "`blog ü`.posts")
    bare.set_up("ring", 3)
    assert {"two: gets a copy of the data of one", "three: gets a copy of the data of one"} <= set(
        bare.settle()
    )
    load.end()
    for name in ("two", "three"):
        bare[name].ask(f"INSERT INTO `blog ü`.posts (words) VALUES ('{name}')")
    bare.level()
    same(bare)
    rows = bare["three"].ask("SELECT words FROM `blog ü`.posts")[0]
    words = [row["words"] for row in rows]
    assert {*load.acknowledged, "two", "three"} <= set(words)
    assert len(words) == len(set(words))
    assert len(load.acknowledged) > 20
    events = "SELECT status FROM information_schema.events WHERE event_schema = 'blog ü'"
    running = [bare[name].value(events) for name in ("one", "two", "three")]
    assert running == ["ENABLED", "SLAVESIDE_DISABLED", "SLAVESIDE_DISABLED"]
    assert bare.settle() == []


@pytest.mark.parametrize("topology", ["ring", "mesh"])
def test_a_server_that_is_added_later_comes_into_a_circle_that_goes_on_writing(
    bare: Machines, topology: str
) -> None:
    bare.set_up(topology, 3, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, words TEXT)")
    bare.level()
    loads = [Load(machine, "shop.t") for machine in bare.all.values()]
    bare.set_up(topology, 4, databases=["shop"])
    bare.settle()
    bare["four"].ask("INSERT INTO shop.t (words) VALUES ('four')")
    for load in loads:
        load.end()
    bare.level()
    written = {words for load in loads for words in load.acknowledged} | {"four"}
    for machine in bare.all.values():
        words = [row["words"] for row in machine.ask("SELECT words FROM shop.t")[0]]
        assert written <= set(words)
        assert len(words) == len(set(words))
    assert {len(one.links) for one in bare.look().seen.values()} == {1 if topology == "ring" else 3}


def test_interrupted_after_every_change_the_next_run_goes_on_and_all_is_well(
    bare: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.set_up("ring", 2)
    fill(bare, "one")
    left = 0
    run = Local.run

    def brittle(self: Local, script: str, given: str | None = None, **more: Any) -> str:
        nonlocal left
        if given is not None and not given.startswith(("SELECT", "SHOW")):
            left -= 1
            if left < 0:
                raise Interrupted
        return run(self, script, given, **more)

    monkeypatch.setattr(Local, "run", brittle)
    interrupted = 0
    while True:
        left = 1 + interrupted % 3  # so many changes, then no more
        try:
            settle(bare.site, bare.remotes, bare.vault, lambda words: None, 20)
        except Interrupted:
            interrupted += 1
            assert interrupted < 30
        else:
            break
    assert interrupted >= 4
    left = 1000
    bare.level()
    same(bare)
    assert bare.settle() == []


def joins(bare: Machines) -> None:
    """Two servers, of which the second one is to get the first one's data."""
    bare.set_up("mesh", 1, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
    bare.set_up("mesh", 2, databases=["shop"])


def test_what_an_earlier_copy_still_loads_is_ended_before_the_next_begins(bare: Machines) -> None:
    joins(bare)
    loading = bare["two"].remote.start("exec mariadb", subprocess.PIPE)
    assert loading.stdin is not None
    loading.stdin.write(b"SELECT 1;\n")
    loading.stdin.flush()
    sessions = "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Sleep'"
    assert bare.within(20, lambda: bare["two"].value(sessions) == "1")
    assert "two: gets a copy of the data of one" in bare.settle()
    loading.stdin.write(b"CREATE DATABASE stray;\n")
    _, complaint = loading.communicate(timeout=20)
    assert loading.returncode != 0 and complaint
    assert bare["two"].value("SELECT GROUP_CONCAT(id) FROM shop.t") == "1"
    assert bare["two"].ask("SHOW DATABASES LIKE 'stray'") == [[]]


def test_a_copy_whose_lease_is_lost_on_the_way_is_not_finished(bare: Machines) -> None:
    joins(bare)

    def check(name: str) -> None:
        if name == "two" and bare.look().seen["two"].joining:
            raise Interrupted

    with pytest.raises(Interrupted):
        settle(bare.site, bare.remotes, bare.vault, lambda words: None, check=check)
    assert bare.look().seen["two"].joining
    assert "two: gets a copy of the data of one" in bare.settle()


def test_data_of_its_own_is_never_written_over(bare: Machines) -> None:
    bare.set_up("mesh", 2)
    for name in ("one", "two"):
        bare[name].ask(f"CREATE DATABASE of_{name}")
    words = bare.needs()
    assert len(words) == 2
    assert all("several servers hold data" in one and "one, two" in one for one in words)
    assert not any(one.links for one in bare.look().seen.values())
    bare["two"].ask("DROP DATABASE of_two")
    bare.settle()
    bare.set_up("mesh", 3)
    bare["three"].ask("CREATE DATABASE precious")
    assert "three: it holds data of its own (precious" in bare.needs()[0]
    assert bare["three"].value("SHOW DATABASES LIKE 'precious'") == "precious"
    bare["two"].ask("CREATE DATABASE later")
    shown = "SHOW DATABASES LIKE 'later'"
    assert bare.within(5, lambda: bare["one"].ask(shown)[0] != [])


def test_a_server_that_leaves_the_site_is_forgotten_once_all_have_what_it_wrote(
    bare: Machines,
) -> None:
    bare.set_up("ring", 3, databases=["shop"])
    bare.settle()
    bare["three"].ask("CREATE TABLE shop.t (id INT)", "INSERT INTO shop.t VALUES (7)")
    bare.level()
    bare.all.pop("three").kill()
    bare.set_up("ring", 2, databases=["shop"])
    bare.settle()
    seen = bare.look().seen
    assert [link.name for link in seen["one"].links] == ["two"]
    assert {link.ignored for one in seen.values() for link in one.links} == {frozenset({3})}
    for machine in bare.all.values():
        machine.purge_logs()
    assert "one: forgets number 3, which has left" in bare.settle()
    assert not any("3-3-" in one.binlog_state for one in bare.look().seen.values())
    assert bare.everywhere("SELECT id FROM shop.t") == {"7"}
    bare["one"].ask("INSERT INTO shop.t VALUES (8)")
    bare.level()
    assert bare.everywhere("SELECT COUNT(*) FROM shop.t") == {"2"}
    assert bare.settle() == []
