"""What docs/replication.md tells a person to do is done here, line by line, and works."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from standfast.cli.main import main

from .machines import Machine, Machines

PAGE = Path(__file__).parents[3] / "docs/replication.md"
NAMES = "SELECT GROUP_CONCAT(name ORDER BY name) FROM shop.options"
READ_ONLY = "SELECT @@global.read_only"


def blocks(title: str) -> list[str]:
    """The blocks of code of one paragraph of "When a person is needed", in order."""
    section = PAGE.read_text().split("## When a person is needed\n")[1].split("\n## ")[0]
    paragraphs = dict(re.findall(r"^\*\*(.+?)\.\*\*(.*?)(?=^\*\*|\Z)", section, re.S | re.M))
    return re.findall(r"^```\w*\n(.*?)^```$", paragraphs[title], re.S | re.M)


def filled(block: str, **names: str) -> str:
    """The block with the names of this site in place of those of the page."""
    for there, here in names.items():
        assert there in block, f"{there} is not in:\n{block}"
        block = block.replace(there, here)
    return block


def conflict(machine: Machine, machines: Machines) -> str:
    """The transaction that some link of a server stands at; an empty text where none does."""
    links = machines.look().seen[machine.server.name].links
    return max(link.stands_at for link in links)


def resolve(machines: Machines, machine: Machine, stands_at: str) -> None:
    """The row of server one stays."""
    wrong, right = blocks("Conflict")
    domain, server, number = stands_at.split("-")
    if domain == "1":
        words = filled(wrong, **{"blog.wp_options": "shop.options", "option_name": "name"})
    else:
        before = f"{domain}-{server}-{int(number) - 1}"
        words = filled(right, **{"2-2-42": stands_at, "2-2-41": before})
    machine.remote.run("mariadb", words)


@pytest.mark.parametrize("topology", ["mesh", "ring"])
def test_rows_that_conflict_are_settled_as_the_page_says_and_no_other_link_stays_behind(
    bare: Machines, topology: str
) -> None:
    bare.set_up(topology, 3, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.options (name VARCHAR(60) UNIQUE, of VARCHAR(60))")
    bare.level()
    for machine in bare.all.values():
        machine.ask("STOP ALL SLAVES")
    for name in ("one", "two"):
        bare[name].ask(f"INSERT INTO shop.options VALUES ('home', '{name}')")
    for machine in bare.all.values():
        machine.ask("START ALL SLAVES")
    for name in ("one", "two"):
        assert bare.within(15, partial(conflict, bare[name], bare)), name
    (words, *_) = [each for each in bare.needs() if each.startswith("one:")]
    assert f"cannot apply {conflict(bare['one'], bare)}, which came from" in words
    done = 0
    while stuck := [(one, at) for one in bare.all.values() if (at := conflict(one, bare))]:
        for machine, at in stuck:
            resolve(bare, machine, at)
        done += 1
        assert done < 6
        # Links that have got what came first may come upon the conflict in their turn.
        bare.within(3, lambda: any(conflict(one, bare) for one in bare.all.values()))
    bare.settle()
    bare["two"].ask("INSERT INTO shop.options VALUES ('later', 'two')")
    assert bare.within(20, lambda: bare.everywhere(NAMES) == {"home,later"})
    assert bare.everywhere("SELECT of FROM shop.options WHERE name = 'home'") == {"one"}
    assert bare.settle() == []


def test_a_link_that_stands_at_what_came_by_another_way_is_started_by_healing(
    bare: Machines,
) -> None:
    bare.set_up("mesh", 3, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.options (name VARCHAR(60) UNIQUE)")
    bare.level()
    bare["two"].ask("SET sql_log_bin = 0", "INSERT INTO shop.options VALUES ('home')")
    bare["one"].ask("INSERT INTO shop.options VALUES ('home')")

    def stuck() -> int:
        return sum(link.sql == "No" for link in bare.look().seen["two"].links)

    assert bare.within(15, lambda: stuck() == 2)
    assert len([words for words in bare.needs() if "cannot apply 1-1-" in words]) == 2
    assert stuck() == 2  # nothing was skipped
    bare["two"].ask("SET sql_log_bin = 0", "DELETE FROM shop.options", "START SLAVE 'one'")
    assert bare.within(15, lambda: bare["two"].value(NAMES) == "home")
    assert stuck() == 1
    (words,) = bare.settle()
    assert "came by another way" in words
    assert stuck() == 0
    assert bare.everywhere(NAMES) == {"home"}


@pytest.fixture
def by_hand(bare: Machines, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The command line finds the servers of this site."""
    monkeypatch.setattr("standfast.cluster.inventory.load_site", lambda file: bare.site)
    monkeypatch.setattr(
        "standfast.cluster.status.observation.admins_way", lambda site: dict(bare.remotes)
    )
    return bare


def rejoin(machines: Machines, block: str) -> None:
    """The page's command, but that it does not ask."""
    program, *words = shlex.split(filled(block, **{"rejoin us": "rejoin two"}))
    assert program == "standfast"
    assert main([*words, "--yes"]) == 0
    machines["two"].ask("INSERT INTO shop.t VALUES ()")
    ids = "SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"
    assert machines.within(20, lambda: len(machines.everywhere(ids)) == 1)
    assert machines.settle() == []
    assert machines.everywhere(READ_ONLY) == {"0"}


def test_away_for_too_long_a_log_that_went_back_and_another_number_have_the_pages_way_out(
    by_hand: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    machines, two = by_hand, by_hand.all
    machines.set_up("mesh", 2, databases=["shop"])
    machines.settle()
    machines["one"].ask("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    machines.level()
    (away,) = blocks("Away for too long")
    two["two"].ask("STOP ALL SLAVES", "INSERT INTO shop.t VALUES ()")
    two["one"].ask("INSERT INTO shop.t VALUES ()")
    two["one"].purge_logs()
    assert any("cluster rejoin two" in words for words in machines.needs())
    rejoin(machines, away)

    assert blocks("A log that went back") == []  # it is "as above"
    seq = "SELECT seq FROM standfast.heartbeat WHERE server = 2"
    assert machines.within(20, lambda: int(two["two"].value(seq) or 0) > 5)
    two["two"].ask("STOP ALL SLAVES", "RESET MASTER")
    assert machines.within(15, lambda: two["two"].value(READ_ONLY) == "1")
    rejoin(machines, away)

    (number,) = blocks("Another number")
    two["two"].ask("SET GLOBAL server_id = 1, GLOBAL gtid_domain_id = 1")
    assert machines.within(10, lambda: two["two"].value(READ_ONLY) == "1")
    two["two"].ask("SET GLOBAL server_id = 2, GLOBAL gtid_domain_id = 2")
    rejoin(machines, number)
    saved = list(machines.folder.glob("two-*.sql.gz"))
    assert len(saved) == 3
    capsys.readouterr()
