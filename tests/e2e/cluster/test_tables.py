"""Real tables of two servers are compared: their columns, engines and keys."""

from __future__ import annotations

from standfast.cluster.status.judgement import judge
from standfast.cluster.status.observation import observe

from .machines import Machines


def said(machines: Machines) -> list[str]:
    seen = observe(machines.site, machines.remotes)
    return [f"{f.server}: {f.words}" for f in judge(machines.site, seen) if f.kind == "table"]


def test_columns_in_another_order_engines_and_missing_keys_are_said(bare: Machines) -> None:
    bare.set_up("mesh", 2, databases=["shop"])
    bare.settle()
    bare["one"].ask("CREATE TABLE shop.a (id INT PRIMARY KEY, x INT, y INT)")
    bare.level()
    assert said(bare) == []
    for name, after in (("one", "x"), ("two", "y")):
        bare[name].ask("SET sql_log_bin = 0", f"ALTER TABLE shop.a ADD COLUMN z INT AFTER {after}")
    (words,) = said(bare)
    assert words.startswith("two: shop.a has other columns, or in another order, than on one")
    bare["two"].ask("SET sql_log_bin = 0", "ALTER TABLE shop.a MODIFY COLUMN z INT AFTER x")
    bare["one"].ask(
        "CREATE TABLE shop.m (id INT PRIMARY KEY) ENGINE=MEMORY", "CREATE TABLE shop.k (id INT)"
    )
    bare.level()
    assert [words.split(":")[1] for words in said(bare)] == [
        " shop.m is MEMORY, not InnoDB",
        " shop.k has no primary key",
    ]
