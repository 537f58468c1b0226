"""The screen of ``cluster status`` fits 80 columns, says all, and does no harm to a terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from standfast.cli.cluster.screen import console, screen
from standfast.cluster.inventory import Site
from standfast.cluster.status.judgement import judge
from standfast.cluster.status.seen import Clock, Disk, Link, SiteSeen, Unreached
from standfast.cluster.status.shape import as_json
from tests.unit.cluster.status.sites import (
    NOW_S,
    reached,
    replica,
    site,
    well,
    with_link_down,
    with_replica,
    with_server,
    without_beats,
)

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202egpj\u2066[bold]x[/bold]\r\n\t\x9b31m"


def shown(one: Site, seen: SiteSeen, width: int = 80, *, terminal: bool = False) -> str:
    out = Console(
        file=io.StringIO(), width=width, highlight=False, emoji=False, markup=False,
        force_terminal=terminal, color_system="standard" if terminal else None,
    )  # fmt: skip
    out.print(screen(one, seen, judge(one, seen)))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_site_that_is_well_is_shown_on_one_screen() -> None:
    one = site()
    lines = shown(one, well(one)).splitlines()
    assert [line.rstrip() for line in lines] == [
        "shop: 3 servers, ring, 2027-01-15 08:00:00 UTC: all is well",
        "",
        "server  location       state       up  load  services  links   disk     clock, s",
        "ie      City 1         well   12 days  0.10  6 of 6    1 of 1  41 %  +0.00 ±0.05",
        "nl      City 2         well   12 days  0.10  5 of 5    1 of 1  41 %  +0.00 ±0.05",
        "us      City 3         well   12 days  0.10  5 of 5    1 of 1  41 %  +0.00 ±0.05",
        "",
        "heartbeats, s    ie    nl    us    transactions behind    ie    nl    us",
        "of ie           0.4   0.4   0.4    of ie                   0     0     0",
        "of nl           0.4   0.4   0.4    of nl                   0     0     0",
        "of us           0.4   0.4   0.4    of us                   0     0     0",
    ]


@pytest.mark.parametrize(
    ("location", "lines"),
    [
        ("United States", ["United States"]),
        ("Frankfurt am Main, Germany", ["Frankfurt am", "Main, Germany"]),
        ("x" * 30, ["x" * 13, "x" * 13, "x" * 4]),
    ],
)
def test_a_location_is_shown_whole(location: str, lines: list[str]) -> None:
    one = site()
    here = one.servers[0].model_copy(update={"location": location})
    one = one.model_copy(update={"servers": (here, *one.servers[1:])})
    rows = shown(one, well(one)).splitlines()[3 : 3 + len(lines)]
    assert [row[8:21].rstrip() for row in rows] == lines


def test_what_is_wrong_stands_below() -> None:
    one = site()
    seen = with_server(well(one), "ie", Unreached("no route to host"))
    seen = without_beats(one, seen, "nl", "us", "ie", age_s=5000)
    seen = with_link_down(seen, "nl", "ie", "error reconnecting " + "x" * 100, applies=False)
    text = shown(one, seen)
    assert "something is wrong" in text and "all is well" not in text
    rows = text.splitlines()
    (away,) = [row for row in rows if row.startswith("ie  ") and "City" in row]
    assert away.split() == ["ie", "City", "1", "away"]
    (of_us,) = [row for row in rows if row.startswith("of us")]
    assert of_us.split()[2:5] == ["-", "83m", "0.4"]
    assert "nl  the link from ie does not run: error reconnecting" in text
    assert "nl  gets nothing of ie and us" in text


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("length", [2, 12, 63])
def test_it_fits_80_columns_however_many_servers(count: int, length: int) -> None:
    names = [f"{chr(97 + at)}{at}".ljust(length, "x")[:length] for at in range(count)]
    one = site(*names, topology="mesh")
    seen = well(one)
    seen = without_beats(one, seen, names[0], *names[1:], age_s=2e6)
    seen = with_server(
        seen, names[0],
        replace(
            reached(seen, names[0]), uptime_s=9e8, load=(1234.5, 0, 0), clock=Clock(-3600.0, 12.0),
            disks=(Disk("/", 1, 1.0),),
        ),
    )  # fmt: skip
    seen = with_replica(
        seen, names[0], replace(replica(seen, names[0]), positions={1: 10**12})
    )  # fmt: skip
    if count > 1:
        seen = with_server(seen, names[1], Unreached("x" * 300))
    for line in shown(one, seen).splitlines():
        assert cell_len(line) <= 80


@given(st.text(max_size=60) | st.just(HOSTILE))
def test_nothing_that_a_server_says_acts_on_a_terminal(said: str) -> None:
    one = site()
    # A location is the admin's own words, and may be any that TOML can hold.
    one = one.model_copy(
        update={"servers": tuple(s.model_copy(update={"location": said}) for s in one.servers)}
    )
    seen = with_server(well(one), "nl", Unreached(said))
    found = reached(seen, "us")
    found = replace(
        found, services={"mariadb": said, said: "active"}, replica=None, database_error=said,
        disks=(Disk(said, 1, 0.99),), boot_id=said,
    )  # fmt: skip
    seen = with_server(seen, "us", found)
    seen = with_replica(
        seen, "ie", replace(replica(seen, "ie"), links=(Link("us", False, False, said),))
    )
    text = shown(one, seen)
    assert all(each.isprintable() or each == "\n" for each in text)
    json.loads(json.dumps(as_json(one, seen, judge(one, seen))))


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    one = site()
    seen = with_server(well(one), "nl", Unreached("no"))
    assert "\x1b" not in shown(one, seen)
    assert "\x1b[1;31m" in shown(one, seen, terminal=True)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert not console().is_terminal and console().color_system is None


def test_the_shape_for_programs_is_the_documented_one() -> None:
    one = site()
    seen = with_server(well(one), "nl", Unreached("no route to host"))
    answer = as_json(one, seen, judge(one, seen))
    assert list(answer) == [
        "site", "topology", "at", "well", "servers", "heartbeats", "behind", "wrong",
    ]  # fmt: skip
    assert (answer["site"], answer["well"]) == ("shop", False)
    assert answer["at"] == "2027-01-15T08:00:00.000+00:00"
    ie, nl, us = answer["servers"]
    assert list(ie) == list(nl) == list(us)
    assert ie == {
        "name": "ie", "number": 1, "location": "City 1", "address": "192.0.2.1", "reached": True,
        "error": None, "boot_id": "4c1b5a2e-0000-4000-8000-000000000000", "uptime_s": 1036800.0,
        "load": [0.1, 0.2, 0.3],
        "services": dict.fromkeys(
            ["mariadb", "apache2", "named", "ssh", "nftables", "vsftpd"], "active"
        ),
        "otherwise": [],
        "disks": [{"path": "/", "free_b": 42949672960, "used": 0.41}],
        "clock": {"offset_s": 0.0, "accuracy_s": 0.05},
        "database": {
            "error": None,
            "links": [{"from": "us", "reads": True, "applies": True, "error": None}],
        },
    }  # fmt: skip
    assert (nl["reached"], nl["error"], nl["database"]) == (False, "no route to host", None)
    assert {"of": "nl", "on": "us", "age_s": 0.4} in answer["heartbeats"]
    assert {"of": "ie", "on": "us", "transactions": 0} in answer["behind"]
    assert answer["wrong"] == [
        {
            "server": "nl", "kind": "unreachable",
            "words": "no route to host; but it lives: ie has a heartbeat of 0.4 s ago",
        }
    ]  # fmt: skip
    assert seen.at_s == NOW_S
