"""Two admins at once: one of them changes the databases, the other one is told."""

from __future__ import annotations

import pytest

from standfast.cli.cluster.heal import heal
from standfast.cli.cluster.leasing import by
from standfast.cluster.database.settle import settle
from standfast.cluster.lease import Lost, Taken, held

from .machines import Machines

IDS = "SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t"


def test_a_target_that_one_is_about_to_fill_is_emptied_and_filled_by_no_other(
    bare: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.set_up("mesh", 1, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
    bare.set_up("mesh", 2, databases=["shop"])
    said: list[str] = []
    with held(bare.site, "apply", by(bare.remotes)) as hold:
        with pytest.raises(Taken, match=r"one, two: .*`standfast cluster apply`"):
            heal(bare.site, bare.remotes, asks=False)
        assert not bare.look().seen["two"].holds_data
        assert heal(bare.site, bare.remotes, asks=False, breaks=True) == 0
        assert "The lease of one, two is broken" in capsys.readouterr().out
        assert bare["two"].value(IDS) == "1"
        bare["two"].ask("STOP ALL SLAVES")
        with pytest.raises(Lost, match="the lease of (one|two)"):
            settle(bare.site, bare.remotes, bare.vault, said.append, check=hold.check)
        assert said == []
        assert not all(link.io == "Yes" for link in bare.look().seen["two"].links)
