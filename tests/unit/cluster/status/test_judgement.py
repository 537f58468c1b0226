"""What is wrong with a site is said, in words; what is not is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from standfast.cluster.inventory import Site
from standfast.cluster.status.judgement import judge
from standfast.cluster.status.seen import Clock, Disk, Link, Seen, SiteSeen, Unreached
from tests.unit.cluster.status.sites import (
    reached,
    replica,
    site,
    well,
    with_link_down,
    with_replica,
    with_server,
    without_beats,
)

Spoil = Callable[[Site, SiteSeen], SiteSeen]
REFUSED = "ie (192.0.2.1, port 22) was not reached: Connection refused"


def words(one: Site, seen: SiteSeen) -> list[str]:
    return [f"{found.server}: {found.kind}: {found.words}" for found in judge(one, seen)]


@pytest.mark.parametrize("topology", ["ring", "mesh"])
@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_nothing_is_wrong_with_a_site_that_is_well(topology: str, count: int) -> None:
    one = site(*(f"s{at}" for at in range(count)), topology=topology)
    assert judge(one, well(one)) == []


def changed(name: str, change: Callable[[Seen], Seen]) -> Spoil:
    return lambda one, seen: with_server(seen, name, change(reached(seen, name)))


def with_disks(name: str, *disks: Disk) -> Spoil:
    return changed(name, lambda one: replace(one, disks=disks))


def dead(name: str, age_s: float = 95.0) -> Spoil:
    """Not reached, and nobody has a newer heartbeat of it."""

    def spoil(one: Site, seen: SiteSeen) -> SiteSeen:
        for peer in one.peers(one.server(name)):
            seen = without_beats(one, seen, peer.name, name, age_s=age_s)
        return with_server(seen, name, Unreached(REFUSED))

    return spoil


def silent(name: str) -> Spoil:
    """Its heart does not beat, and everybody is up to date with that."""

    def spoil(one: Site, seen: SiteSeen) -> SiteSeen:
        for reader in one.servers:
            seen = without_beats(one, seen, reader.name, name, age_s=300)
        return seen

    return spoil


def never(reader: str, origin: str) -> Spoil:
    def spoil(one: Site, seen: SiteSeen) -> SiteSeen:
        found = replica(seen, reader)
        beats = {**found.beats, one.server(origin).number: None}
        return with_replica(seen, reader, replace(found, beats=beats))

    return spoil


def services(name: str, **states: str) -> Spoil:
    def spoil(one: Site, seen: SiteSeen) -> SiteSeen:
        found = reached(seen, name)
        answers = "mariadb" not in states
        found = replace(
            found,
            services={**found.services, **states},
            replica=found.replica if answers else None,
        )
        return with_server(seen, name, found)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (services("nl", named="failed"), ["nl: service: named is failed"]),
        (services("ie", vsftpd="inactive"), ["ie: service: vsftpd is inactive"]),
        (
            services("nl", named="failed", ssh="inactive", apache2="inactive"),
            ["nl: service: apache2 and ssh are inactive", "nl: service: named is failed"],
        ),
        (services("us", mariadb="failed"), ["us: service: mariadb is failed"]),
        (
            changed("us", lambda s: replace(s, replica=None, database_error="ERROR 2002 (HY000)")),
            ["us: database: the database does not answer: ERROR 2002 (HY000)"],
        ),
        (with_disks("nl", Disk("/", 2**30, 0.9)), []),
        (
            with_disks("nl", Disk("/", 9 * 2**30, 0.5), Disk("/var/lib/mysql", 2**30, 0.94)),
            ["nl: disk: /var/lib/mysql is 94 % full, 1.0 GiB left"],
        ),
        (changed("nl", lambda s: replace(s, clock=Clock(1.2, 0.3))), []),
        (dead("ie"), [f"ie: unreachable: {REFUSED}; its last heartbeat came 95 s ago, on nl"]),
        (
            lambda one, seen: with_server(seen, "ie", Unreached(REFUSED)),
            [f"ie: unreachable: {REFUSED}; but it lives: nl has a heartbeat of 0.4 s ago"],
        ),
        (
            silent("nl"),
            ["nl: heart: it makes no heartbeats (the last was 5 min ago): is event_scheduler on?"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_server_is_said_in_words(spoil: Spoil, said: list[str]) -> None:
    one = site()
    assert words(one, spoil(one, well(one))) == said


@pytest.mark.parametrize(
    ("offset_s", "said"),
    [(1.5, "1.5 s ahead of this machine's (± 0.1 s)"), (-90.0, "90.0 s behind this machine's")],
)
def test_a_clock_that_is_off_is_said_and_corrected_for(offset_s: float, said: str) -> None:
    one = site()
    seen = well(one)
    found = replica(seen, "us")
    # Its own time is off, in what it reads as in what it writes; nothing else is.
    for name in ("ie", "nl", "us"):
        other = replica(seen, name)
        beats = {**other.beats, 3: (other.beats[3] or 0.0) + offset_s}
        seen = with_replica(seen, name, replace(other, beats=beats))
    found = replace(replica(seen, "us"), read_at_s=found.read_at_s + offset_s)
    seen = with_replica(seen, "us", found)
    seen = with_server(seen, "us", replace(reached(seen, "us"), clock=Clock(offset_s, 0.1)))
    (only,) = words(one, seen)
    assert said in only and only.startswith("us: clock: its clock is ")


def test_a_ring_that_lost_a_server_is_cut_behind_it() -> None:
    one = site()
    seen = dead("ie")(one, well(one))
    seen = without_beats(one, seen, "nl", "us", age_s=95)
    seen = with_link_down(seen, "nl", "ie", "error reconnecting to master (2003)")
    assert words(one, seen)[1:] == ["nl: cut: gets nothing of us"]


def test_a_ring_closed_around_a_dead_server_has_nothing_wrong_but_that_server() -> None:
    one = site()
    seen = dead("ie")(one, well(one))
    seen = with_link_down(seen, "nl", "ie", "error reconnecting to master (2003)")
    found = replica(seen, "nl")
    closing = Link("us", True, True)
    seen = with_replica(seen, "nl", replace(found, links=(*found.links, closing)))
    assert [found.kind for found in judge(one, seen)] == ["unreachable"]


def test_a_link_that_is_not_there_is_said_though_nothing_is_missed_yet() -> None:
    one = site(topology="mesh")
    seen = well(one)
    found = replica(seen, "nl")
    seen = with_replica(seen, "nl", replace(found, links=found.links[:1]))
    assert words(one, seen) == ["nl: link: there is no link from us"]


def test_a_link_that_cannot_apply_is_said_even_if_its_origin_is_dead() -> None:
    one = site(topology="mesh")
    seen = dead("ie")(one, well(one))
    seen = with_link_down(seen, "nl", "ie", "1062: Duplicate entry", applies=False)
    assert words(one, seen)[1:] == [
        "nl: link: the link from ie does not run: 1062: Duplicate entry"
    ]


def test_a_cut_link_of_a_ring_is_said_for_all_who_miss_something() -> None:
    one = site()
    seen = without_beats(one, well(one), "nl", "ie", "us", age_s=60)
    seen = without_beats(one, seen, "us", "ie", age_s=60)
    seen = with_link_down(seen, "nl", "ie", "")
    assert words(one, seen) == [
        "nl: link: the link from ie does not receive",
        "nl: cut: gets nothing of ie and us",
        "us: cut: gets nothing of ie",
    ]


def test_a_mesh_that_lost_a_server_cuts_nobody_off() -> None:
    one = site(topology="mesh")
    seen = dead("ie")(one, well(one))
    for reader in ("nl", "us"):
        seen = with_link_down(seen, reader, "ie", "error reconnecting to master (2003)")
    assert [found.kind for found in judge(one, seen)] == ["unreachable"]


def test_a_link_that_stopped_with_an_error_says_the_error() -> None:
    one = site()
    seen = with_link_down(well(one), "us", "nl", "1236: could not find GTID", applies=False)
    assert words(one, seen) == [
        "us: link: the link from nl does not run: 1236: could not find GTID"
    ]


def test_who_is_behind_though_the_links_run_is_not_cut_off() -> None:
    one = site()
    seen = without_beats(one, well(one), "us", "nl", "ie", age_s=42)
    assert words(one, seen) == ["us: lag: is 42 s behind ie", "us: lag: is 42 s behind nl"]


def test_a_lag_within_the_limit_is_none() -> None:
    one = site()
    assert judge(one, without_beats(one, well(one), "us", "nl", age_s=10)) == []


def test_who_never_got_anything_is_said_so() -> None:
    one = site(topology="mesh")
    seen = well(one)
    for reader, origin in (("us", "ie"), ("nl", "ie")):
        seen = never(reader, origin)(one, seen)
    assert words(one, seen) == [
        "nl: cut: never got anything of ie",
        "us: cut: never got anything of ie",
    ]


def test_every_server_away_is_said_of_each() -> None:
    one = site()
    seen = SiteSeen(0.0, {server.name: Unreached("no") for server in one.servers})
    assert words(one, seen) == [f"{name}: unreachable: no" for name in ("ie", "nl", "us")]
