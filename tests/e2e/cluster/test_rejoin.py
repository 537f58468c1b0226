"""A server joins anew: what only it had is saved first, and whatever is interrupted is finished."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

import pytest

from standfast.cluster.database import rejoin
from standfast.cluster.database.observe import observe
from standfast.cluster.remote import RemoteError
from standfast.errors import StandfastError

from .machines import Machines

IDS = "SELECT GROUP_CONCAT(id ORDER BY id) FROM {}"


def parted(bare: Machines) -> None:
    """Two servers, of which one has a row of its own, and can never get one of the other's."""
    bare.set_up("mesh", 2, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    bare.level()
    bare["two"].ask("INSERT INTO shop.t VALUES ()")
    bare.level()
    bare["one"].ask("STOP ALL SLAVES")
    bare["two"].ask("STOP ALL SLAVES", "INSERT INTO shop.t VALUES ()")
    bare["one"].ask("INSERT INTO shop.t VALUES ()")
    bare["one"].purge_logs()
    assert bare.everywhere(IDS.format("shop.t")) == {"2,11", "2,12"}


def rejoined(bare: Machines, name: str, file: Path) -> list[str]:
    return rejoin.rejoin(bare.site, bare.remotes, bare.vault, name, file, lambda words: None)


def test_what_only_that_server_has_is_saved_and_all_are_alike_afterwards(
    bare: Machines, tmp_path: Path
) -> None:
    parted(bare)
    assert rejoin.own_writes(observe(bare.site, bare.remotes), "two") >= 1
    file = tmp_path / "two.sql.gz"
    done = rejoined(bare, "two", file)
    assert "two: gets a copy of the data of one" in done
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    saved = gzip.decompress(file.read_bytes()).decode()
    assert "(2)" in saved and "(12)" in saved
    assert "-- Dump completed" in saved
    bare["two"].ask("INSERT INTO shop.t VALUES ()")
    bare.level()
    assert len(bare.everywhere(IDS.format("shop.t"))) == 1
    assert bare.everywhere("SELECT @@global.read_only") == {"0"}
    assert bare.everywhere("SELECT @@global.event_scheduler") == {"ON"}
    assert bare.settle() == []


def test_a_file_that_cannot_be_written_leaves_the_server_as_it_was(
    bare: Machines, tmp_path: Path
) -> None:
    parted(bare)
    file = tmp_path / "there"
    file.write_text("somebody's")
    with pytest.raises(StandfastError, match="there cannot be written: File exists"):
        rejoined(bare, "two", file)
    assert file.read_text() == "somebody's"
    assert bare["two"].value("SELECT @@global.read_only") == "0"
    assert bare["two"].value(IDS.format("shop.t")) == "2,12"
    assert not observe(bare.site, bare.remotes).seen["two"].joining


def test_a_dump_that_ends_early_leaves_no_half_file_and_the_server_as_it_was(
    bare: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted(bare)
    broken = "exec mariadb-dump --single-transaction no_such_database"
    with monkeypatch.context() as patch:
        patch.setattr("standfast.cluster.database.dump.command", lambda names: broken)
        with pytest.raises(StandfastError, match="the dump of two ended early: .*no_such_database"):
            rejoined(bare, "two", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert bare["two"].value("SELECT @@global.read_only") == "0"
    assert bare["two"].value(IDS.format("shop.t")) == "2,12"


def test_what_was_interrupted_after_the_file_is_finished_by_heal(
    bare: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted(bare)

    def killed(*_: object, **__: object) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rejoin, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            rejoined(bare, "two", tmp_path / "two.sql.gz")
    assert observe(bare.site, bare.remotes).seen["two"].joining
    assert "two: gets a copy of the data of one" in bare.settle()
    bare.level()
    assert len(bare.everywhere(IDS.format("shop.t"))) == 1


def test_nothing_is_emptied_where_no_other_has_the_data_or_one_is_away(
    bare: Machines, tmp_path: Path
) -> None:
    bare.set_up("mesh", 2)
    bare.settle()
    with pytest.raises(StandfastError, match="no other server holds the site's data"):
        rejoined(bare, "two", tmp_path / "file")
    bare["one"].kill()
    with pytest.raises(StandfastError, match="one cannot be asked"):
        rejoined(bare, "two", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_where_it_is_not_known_whether_the_mark_was_made_no_write_is_taken(
    bare: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted(bare)
    with monkeypatch.context() as patch:
        # The line is lost after the mark was made.
        patch.setattr(rejoin, "_MARK", (*rejoin._MARK, "KILL CONNECTION CONNECTION_ID()"))
        with pytest.raises(RemoteError):
            rejoined(bare, "two", tmp_path / "two.sql.gz")
    assert bare["two"].value("SELECT @@global.read_only") == "1"
    with pytest.raises(StandfastError, match="a copy to it was interrupted"):
        rejoined(bare, "two", tmp_path / "again")
    assert "two: gets a copy of the data of one" in bare.settle()
    assert bare["two"].value("SELECT @@global.read_only") == "0"


def test_a_server_that_took_no_writes_before_takes_none_after_a_failure(
    bare: Machines, tmp_path: Path
) -> None:
    parted(bare)
    bare["two"].ask("SET GLOBAL read_only = ON")
    (tmp_path / "there").write_text("")
    with pytest.raises(StandfastError, match="File exists"):
        rejoined(bare, "two", tmp_path / "there")
    assert bare["two"].value("SELECT @@global.read_only") == "1"
