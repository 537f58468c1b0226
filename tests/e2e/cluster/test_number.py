"""A number that somebody changed by hand: what comes of it stops at once, and has a way out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from standfast.cluster.database import rejoin
from standfast.errors import StandfastError

from .machines import Machines

IDS = "SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"
READ_ONLY = "SELECT @@global.read_only"
BEATS = "SELECT COUNT(*) FROM standfast.heartbeat WHERE server = 2 AND seq > 0"


def a_site(bare: Machines, topology: str) -> None:
    bare.set_up(topology, 3, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT PRIMARY KEY)")
    bare.level()
    assert bare.within(20, lambda: bare["two"].value(BEATS) == "1")


@pytest.mark.parametrize("topology", ["mesh", "ring"])
def test_another_ones_number_while_it_runs_stops_its_writes_and_all_is_kept_when_it_is_put_back(
    bare: Machines, tmp_path: Path, topology: str
) -> None:
    a_site(bare, topology)
    bare["two"].ask("SET GLOBAL server_id = 3, GLOBAL gtid_domain_id = 3")
    assert bare.within(10, lambda: bare["two"].value(READ_ONLY) == "1")
    bare["two"].ask("SET sql_log_bin = 0", "INSERT INTO shop.t VALUES (2)")
    # Two leaves it out, as if it were its own.
    bare["three"].ask("INSERT INTO shop.t VALUES (3)")
    bare["one"].ask("INSERT INTO shop.t VALUES (1)")
    (words,) = [each for each in bare.needs() if each.startswith("two:")]
    assert words.startswith("two: MariaDB calls itself number 3 (domain 3), in the inventory it is")
    file = tmp_path / "two.sql.gz"
    with pytest.raises(StandfastError, match="calls itself number 3 .domain 3. and not 2"):
        rejoin.rejoin(bare.site, bare.remotes, bare.vault, "two", file, lambda words: None)
    bare["two"].ask("SET GLOBAL server_id = 2, GLOBAL gtid_domain_id = 2")
    (words,) = [each for each in bare.needs() if each.startswith("two:")]
    assert words.endswith("by: standfast cluster rejoin two")
    assert bare["two"].value(READ_ONLY) == "1"
    rejoin.rejoin(bare.site, bare.remotes, bare.vault, "two", file, lambda words: None)
    assert "(2)" in gzip.decompress(file.read_bytes()).decode()
    bare["two"].ask("INSERT INTO shop.t VALUES (4)")
    assert bare.within(20, lambda: bare.everywhere(IDS) == {"1,3,4"}), bare.everywhere(IDS)
    assert bare.everywhere(READ_ONLY) == {"0"}
    assert bare.settle() == []


def test_with_another_number_in_its_options_it_takes_no_write_from_the_start(
    bare: Machines,
) -> None:
    a_site(bare, "mesh")
    options = bare["two"].folder / "my.cnf"
    ours = options.read_text()
    bare["two"].kill()
    options.write_text(ours + "[mariadbd]\nserver_id = 3\ngtid_domain_id = 3\n")
    bare["two"].start()
    bare["two"].wait()
    assert bare["two"].value(READ_ONLY) == "1"
    before = bare["two"].value("SELECT seq FROM standfast.heartbeat WHERE server = 2")
    marked = "SELECT went_back IS NOT NULL FROM standfast.heartbeat WHERE server = 0"
    assert bare.within(10, lambda: bare["two"].value(marked) == "1")
    assert bare["two"].value("SELECT seq FROM standfast.heartbeat WHERE server = 2") == before
    assert bare["one"].value(marked) == "0"  # it wrote nothing that the others could take
    bare["two"].kill()
    options.write_text(ours)
    bare["two"].start()
    bare["two"].wait()
    assert bare.within(10, lambda: bare["two"].value(READ_ONLY) == "1")
    assert any("standfast cluster rejoin two" in words for words in bare.needs())
