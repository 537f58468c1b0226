"""Tables that differ, or that replication cannot keep alike, are said; others are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from standfast.cluster.status.judgement import judge
from standfast.cluster.status.seen import SiteSeen
from standfast.cluster.status.tables import Table, read

from .sites import reached, site, well, with_server

GOOD = Table("InnoDB", True, "aa")
SITE = site()


def said(**servers: dict[str, Table]) -> list[tuple[str, str]]:
    seen: SiteSeen = well(SITE)
    for name, tables in servers.items():
        seen = with_server(seen, name, replace(reached(seen, name), tables=tables))
    found = judge(SITE, seen)
    assert {finding.kind for finding in found} <= {"table"}
    return [(finding.server, finding.words) for finding in found]


def test_tables_that_are_alike_or_still_on_their_way_are_well() -> None:
    assert said(ie={"shop.a": GOOD, "shop.b": GOOD}, nl={"shop.a": GOOD}, us={}) == []


def test_other_columns_are_said_of_the_server_that_has_them() -> None:
    other = GOOD._replace(columns="bb")
    ((server, words),) = said(ie={"shop.a": GOOD}, nl={"shop.a": GOOD}, us={"shop.a": other})
    assert server == "us"
    assert words.startswith("shop.a has other columns, or in another order, than on ie: ")
    ((server, words),) = said(ie={"shop.a": GOOD}, us={"shop.a": other})
    assert (server, "than on ie" in words) == ("us", True)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (GOOD._replace(engine="MEMORY"),
         "shop.a is MEMORY, not InnoDB: a restart empties it on all servers"),
        (GOOD._replace(engine="MyISAM"), "shop.a is MyISAM, not InnoDB: a crash may tear it"),
        (GOOD._replace(has_key=False),
         "shop.a has no primary key: rows of it are found by all their values, slowly or not at "
         "all"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_kept_alike_is_said_once(table: Table, words: str) -> None:
    assert said(ie={"shop.a": table}, nl={"shop.a": table}, us={"shop.a": table}) == [("ie", words)]
    assert said(ie={}, nl={"shop.a": table}) == [("nl", words)]


def test_of_many_tables_some_are_named() -> None:
    many = {f"shop.t{n}": GOOD._replace(engine="MyISAM") for n in range(9)}
    ((_, words),) = said(ie=many)
    assert words.startswith("shop.t0, shop.t1, shop.t2, shop.t3 and 5 more are MyISAM")


@pytest.mark.parametrize("line", ["", "shop.a", "a\tInnoDB\t1", "a\tb\t1\tc\td"])
def test_a_line_that_is_no_table_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        read([line])
