"""Healing as a function: from any state of links and positions, carried out on servers that are
imagined, it ends in the layout; also when it is interrupted after every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cluster.database import Away, Link, NeedsPerson, Observed, Seen, Wait, gtid, heal
from standfast.cluster.database.actions import (
    Advance,
    Copy,
    CreateDatabase,
    Drop,
    Halt,
    HealingStep,
    PassHole,
    Point,
    Restart,
    Retire,
    Strict,
)
from standfast.cluster.database.layout import PORT, Pair, links
from standfast.cluster.inventory import Site

from .sites import NAMES, site

HOLE = (
    "Got fatal error 1236 from master when reading data from binary log: 'The binlog on the master"
    " is missing the GTID 1-1-7 requested by the slave (even though both a prior and a subsequent"
    " sequence number does exist), and GTID strict mode is enabled'"
)


@dataclass
class World:
    """Servers that keep the rules of GTID: a link carries what its origin has, in order, from
    where the replica is; where the origin's logs do not reach back that far it stops with 1236, and
    in strict mode also where they lack the very transaction at which the replica is."""

    site: Site
    up: set[str]
    #: What each has of each domain.
    has: dict[str, dict[int, int]] = field(default_factory=dict)
    #: Where each one's logs begin.
    oldest: dict[str, dict[int, int]] = field(default_factory=dict)
    #: What each one's log lacks of each domain, though it has what came later.
    holes: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    #: The servers whose strict mode is off.
    lax: set[str] = field(default_factory=set)
    links: dict[Pair, Link] = field(default_factory=dict)
    databases: dict[str, dict[str, int]] = field(default_factory=dict)
    copied: list[Copy] = field(default_factory=list)
    #: Starting a link past a hole is interrupted before strict mode is on again.
    dies: bool = False

    def number(self, name: str) -> int:
        return self.site.server(name).number

    def observed(self) -> Observed:
        found: dict[str, Seen | Away] = {}
        for server in self.site.servers:
            name = server.name
            if name not in self.up:
                found[name] = Away(name, "not reached")
                continue
            has = dict(self.has.get(name, {}))
            others = {d: s for d, s in has.items() if d != server.number}
            found[name] = Seen(
                name=name, server_id=server.number, domain=server.number, logs=True,
                slave_pos=others if any(p.replica == name for p in self.links) or others else {},
                binlog_pos=has, current_pos=has,
                binlog_state=",".join(f"{d}-{d}-{s}" for d, s in sorted(has.items())),
                oldest=dict(self.oldest.get(name, {})),
                links=tuple(one for pair, one in sorted(self.links.items()) if pair[0] == name),
                databases=dict(self.databases.get(name, {})),
                strict=name not in self.lax,
            )  # fmt: skip
        return Observed(found)

    def link(self, pair: Pair, **more: object) -> None:
        server = self.site.server(pair.origin)
        made = Link(pair.origin, str(server.address), PORT, f"replica_{pair.replica}", "Yes", "Yes")
        self.links[pair] = replace(made, **more)  # type: ignore[arg-type]

    def settle_links(self) -> None:
        """Time passes: whatever links run carry all they can."""
        for _ in range(len(self.site.servers)):
            for pair, link in self.links.items():
                if pair.replica in self.up:
                    self.links[pair] = self._pass(pair, link)

    def _pass(self, pair: Pair, link: Link) -> Link:
        if link.sql != "Yes" or link.io == "No":
            return link
        if pair.origin not in self.up:
            return replace(link, io="Connecting", io_errno=2003, io_error="cannot connect")
        mine, begins = self.has.setdefault(pair.replica, {}), self.oldest.get(pair.origin, {})
        own = self.number(pair.replica)
        if any(mine.get(d, 0) < s for d, s in begins.items() if d != own):
            return replace(link, io="No", io_errno=1236, io_error="logs purged")
        # One that is connected already is not asked again.
        if pair.replica not in self.lax and link.io != "Yes" and self.before_hole(pair):
            return replace(link, io="No", io_errno=1236, io_error=HOLE)
        for domain, sequence in self.has.get(pair.origin, {}).items():
            mine[domain] = max(mine.get(domain, 0), sequence)
        for name in self.databases.get(pair.origin, {}):
            self.databases.setdefault(pair.replica, {})[name] = 1
        return replace(link, io="Yes", io_errno=0, io_error="")

    def before_hole(self, pair: Pair) -> bool:
        """Whether the origin has later transactions than one that it lacks, and at which the
        replica is."""
        mine, theirs = self.has.get(pair.replica, {}), self.has.get(pair.origin, {})
        return any(
            mine.get(domain) == sequence and theirs.get(domain, 0) > sequence
            for domain, sequence in self.holes.get(pair.origin, ())
        )

    def do(self, step: HealingStep) -> None:
        match step:
            case PassHole(replica, origin):
                pair = Pair(replica, origin)
                assert self.links[pair].io_error == HOLE, "of no other error"
                self.lax.add(replica)
                self.links[pair] = self._pass(pair, replace(self.links[pair], io="Connecting"))
                if not self.dies:
                    self.lax.discard(replica)
            case Strict(server):
                self.lax.discard(server)
            case Point(replica, origin, ignored, _):
                address = str(self.site.server(origin).address)
                assert not any(
                    one.host == address and pair != (replica, origin)
                    for pair, one in self.links.items()
                    if pair.replica == replica
                ), "MariaDB refuses a second link to one address"
                self.link(Pair(replica, origin), ignored=ignored, io="Connecting")
            case Restart(replica, origin, _):
                pair = Pair(replica, origin)
                self.links[pair] = replace(
                    self.links[pair], io="Connecting", io_errno=0, sql="Yes", sql_errno=0
                )
            case Drop(replica, name):
                del self.links[Pair(replica, name)]
            case Copy(source, target):
                assert not self.databases.get(target), "written over"
                self.copied.append(step)
                self.has[target] = dict(self.has.get(source, {}))
                self.oldest[target] = dict(self.has.get(source, {}))
                self.databases[target] = dict(self.databases.get(source, {}))
            case CreateDatabase(server, name):
                self.databases.setdefault(server, {})[name] = 0
                number = self.number(server)
                self.has[server][number] = self.has.setdefault(server, {}).get(number, 0) + 1
            case Retire() | Advance() | Wait() | NeedsPerson():
                pass

    def flows(self) -> set[Pair]:
        """From whom writes come to whom, by whatever way."""
        direct = {pair for pair, one in self.links.items() if one.runs and set(pair) <= self.up}
        while (
            more := {
                Pair(a.replica, b.origin)
                for a in direct
                for b in direct
                if a.origin == b.replica and a.replica != b.origin
            }
            - direct
        ):
            direct |= more
        return direct


def changes(steps: list[HealingStep]) -> list[HealingStep]:
    return [step for step in steps if not isinstance(step, Wait | NeedsPerson)]


def healed(world: World, *, interrupted: bool) -> list[HealingStep]:
    """Heals until nothing is left to do; returns what a person is asked for."""
    for _ in range(60):
        world.settle_links()
        steps = heal(world.site, world.observed())
        doing = changes(steps)
        if not doing:
            return steps
        for step in doing[:1] if interrupted else doing:
            before, had = world.flows(), {n: dict(p) for n, p in world.has.items()}
            world.do(step)
            if isinstance(step, Drop):
                assert before <= world.flows(), f"{step} took a way away"
            for name, position in had.items():
                assert gtid.covers(world.has[name], position), f"{step} took something back"
    raise AssertionError([str(step) for step in steps])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A site in use, whose links are as anybody may have left them."""
    count = draw(st.integers(1, 5))
    one = site(draw(st.sampled_from(["ring", "mesh"])), count)
    names = NAMES[:count]
    up = set(draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
    world = World(one, up)
    for name in names:
        world.has[name] = {
            number: draw(st.integers(5, 9)) if NAMES[number - 1] != name else 9
            for number in range(1, count + 1)
        }
        world.databases[name] = {"shop": 1}
        world.holes[name] = draw(st.sets(st.tuples(st.integers(1, count), st.integers(5, 8))))
    world.lax = draw(st.sets(st.sampled_from(names)))
    world.dies = draw(st.booleans())
    for replica in names:
        for origin in names:
            if replica == origin:
                continue
            state = draw(st.sampled_from(["none", "runs", "stopped", "1236", "wrong", "ignores"]))
            pair = Pair(replica, origin)
            if state == "runs":
                world.link(pair)
            elif state == "stopped":
                world.link(pair, io="No", sql="No")
            elif state == "1236":
                world.link(pair, io="No", io_errno=1236)
            elif state == "wrong":
                world.link(pair, user="somebody", io="Connecting", io_errno=1045)
            elif state == "ignores":
                world.link(pair, ignored=frozenset({one.servers[0].number, 9}))
    return world


@given(worlds(), st.booleans())
def test_from_any_state_the_links_become_those_of_the_layout_and_nothing_is_lost(
    world: World, interrupted: bool
) -> None:
    assert healed(world, interrupted=interrupted) == []
    shall = {p for p in links(world.site, world.up) if p.replica in world.up}
    assert {pair for pair in world.links if pair.replica in world.up} == shall
    assert all(world.links[p].runs for p in shall if p.origin in world.up)
    ends = [world.has[name] for name in world.up]
    assert all(gtid.covers(world.has[name], gtid.furthest(*ends)) for name in world.up)
    assert world.copied == []
    assert not world.lax & world.up


@given(worlds(), st.booleans(), st.data())
def test_whoever_comes_back_is_taken_back_and_nothing_is_lost(
    world: World, interrupted: bool, data: st.DataObject
) -> None:
    everybody = {server.name for server in world.site.servers}
    healed(world, interrupted=interrupted)
    world.up = everybody
    assert healed(world, interrupted=interrupted) == []
    assert set(world.links) == set(links(world.site, everybody))
    every = gtid.furthest(*world.has.values())
    assert all(gtid.covers(one, every) for one in world.has.values())


@pytest.mark.parametrize("topology", ["ring", "mesh"])
@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_an_empty_site_is_linked_and_gets_its_databases_once(
    topology: str, interrupted: bool, count: int
) -> None:
    one = site(topology, count, databases=["shop"])
    world = World(one, set(NAMES[:count]))
    assert healed(world, interrupted=interrupted) == []
    assert set(world.links) == set(links(one, world.up))
    assert all("shop" in world.databases[name] for name in world.up)
    assert world.copied == []
    assert heal(one, world.observed()) == []


@pytest.mark.parametrize("topology", ["ring", "mesh"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_the_data_of_the_one_server_that_has_any_goes_to_all(
    topology: str, interrupted: bool
) -> None:
    world = World(site(topology, 3), set(NAMES[:3]))
    world.databases["two"] = {"shop": 4}
    world.has["two"] = {2: 50}
    world.oldest["two"] = {2: 20}
    assert healed(world, interrupted=interrupted) == []
    assert {step.target for step in world.copied} == {"one", "three"}
    assert all(has == {2: 50} for has in world.has.values())
    assert set(world.links) == set(links(world.site, world.up))


@pytest.mark.parametrize("topology", ["ring", "mesh"])
def test_a_server_added_later_is_copied_to_and_the_circle_closes_around_it(topology: str) -> None:
    world = World(site(topology, 4), set(NAMES[:4]))
    for name in NAMES[:3]:
        world.has[name] = {1: 5, 2: 5, 3: 5}
        world.databases[name] = {"shop": 1}
        world.oldest[name] = {1: 3, 2: 3, 3: 3}
    for pair in links(site(topology, 3), NAMES[:3]):
        world.link(pair)
    assert healed(world, interrupted=True) == []
    assert [step.target for step in world.copied] == ["four"]
    assert set(world.links) == set(links(world.site, world.up))


def test_two_with_data_of_their_own_are_left_alone() -> None:
    world = World(site("ring", 3), set(NAMES[:3]))
    world.databases = {"one": {"shop": 1}, "two": {"blog": 1}}
    steps = heal(world.site, world.observed())
    assert [type(step) for step in steps] == [NeedsPerson, NeedsPerson]


def test_a_stranger_with_data_is_not_written_over_nor_linked() -> None:
    world = World(site("mesh", 3), set(NAMES[:3]))
    for name in ("one", "two"):
        world.has[name] = {1: 5, 2: 5}
        world.databases[name] = {"shop": 1}
    for pair in links(site("mesh", 2), NAMES[:2]):
        world.link(pair)
    world.databases["three"] = {"own": 1}
    (step,) = heal(world.site, world.observed())
    assert isinstance(step, NeedsPerson)
    assert step.server == "three"
    assert "own" in step.words


def test_rows_that_conflict_are_never_skipped_and_a_ring_goes_around_the_server_they_stop() -> None:
    world = World(site("ring", 3), set(NAMES[:3]))
    for name in NAMES[:3]:
        world.has[name] = {1: 5, 2: 5, 3: 5}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.link(Pair("two", "one"), sql="No", sql_errno=1062, sql_error="Duplicate entry 'home'")
    left = healed(world, interrupted=True)
    assert [str(step) for step in left] == [
        "two: cannot apply what came from one (error 1062), and nothing is skipped unseen: "
        "Duplicate entry 'home'"
    ]
    assert world.links[Pair("three", "one")].runs
    assert world.links[Pair("two", "one")].sql == "No"


def test_logs_that_nobody_has_any_more_are_a_matter_for_a_person() -> None:
    world = World(site("mesh", 2), {"one", "two"})
    world.has = {"one": {1: 50, 2: 5}, "two": {1: 3, 2: 5}}
    world.oldest = {"one": {1: 20}}
    for pair in links(world.site, world.up):
        world.link(pair)
    (step,) = healed(world, interrupted=False)
    assert isinstance(step, NeedsPerson)
    assert "copied anew" in step.words


def test_its_own_writes_are_asked_of_nobody() -> None:
    world = World(site("mesh", 2), {"one", "two"})
    world.has = {"one": {1: 50, 2: 5}, "two": {1: 50, 2: 5}}
    world.oldest = {"two": {1: 50}}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.link(Pair("one", "two"), io="No", io_errno=1236)
    (step,) = heal(world.site, world.observed())
    assert step == Advance("one")


def test_an_empty_server_whose_number_was_used_waits_until_all_that_is_known_of_it_is_there() -> (
    None
):
    world = World(site("ring", 3), set(NAMES[:3]))
    world.has = {"one": {1: 50, 2: 5}, "three": {1: 3, 2: 9, 3: 1}}
    for name in ("one", "three"):
        world.databases[name] = {"shop": 1}
    world.link(Pair("one", "three"), io="No")
    world.link(Pair("three", "one"))
    assert Wait("one", "two", "") in heal(world.site, world.observed())
    assert healed(world, interrupted=True) == []
    assert world.has["two"][2] == 9
    world = replace(
        world,
        up={"one", "two"},
        links={Pair("one", "three"): Link("three", "h", 1, "u", "No", "Yes")},
    )
    world.has["two"] = {}
    world.databases["two"] = {}
    found = heal(world.site, world.observed())
    assert any(isinstance(step, NeedsPerson) and "three" in step.words for step in found)
    assert not any(isinstance(step, Copy) for step in found)


@pytest.mark.parametrize("topology", ["ring", "mesh"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_an_emptied_server_is_copied_to_whatever_its_own_log_says_since(
    topology: str, interrupted: bool
) -> None:
    world = World(site(topology, 3), set(NAMES[:3]))
    for name in NAMES[:2]:
        world.has[name] = {1: 5, 2: 5, 3: 380}
        world.databases[name] = {"shop": 1}
    for pair in links(world.site, world.up):
        if pair.replica != "three":
            world.link(pair)
    world.has["three"] = {3: 1}  # a heartbeat after RESET MASTER
    assert healed(world, interrupted=interrupted) == []
    assert [step.target for step in world.copied] == ["three"]
    assert world.has["three"][3] == 380
    assert set(world.links) == set(links(world.site, world.up))


@pytest.mark.parametrize("number", [(7, 7), (2, 1), (1, 2)])
def test_a_server_under_another_number_is_refused_and_not_touched(number: tuple[int, int]) -> None:
    world = World(site("mesh", 2), {"one", "two"})
    seen: Mapping[str, Seen | Away] = world.observed().servers
    two = seen["two"]
    assert isinstance(two, Seen)
    odd = replace(two, server_id=number[0], domain=number[1])
    steps = heal(world.site, Observed({**seen, "two": odd}))
    assert any(isinstance(step, NeedsPerson) and step.server == "two" for step in steps)
    assert not any(isinstance(step, Point) for step in steps)


def test_a_server_that_has_left_is_ignored_once_all_are_level_and_then_forgotten() -> None:
    world = World(site("mesh", 2), {"one", "two"})
    world.has = {"one": {1: 5, 2: 5, 3: 8}, "two": {1: 5, 2: 5, 3: 8}}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.has["two"][3] = 7
    assert heal(world.site, world.observed()) == []  # one of them still lacks a write of it
    world.has["two"][3] = 8
    assert healed(world, interrupted=True) == []
    assert {link.ignored for link in world.links.values()} == {frozenset({3})}
    world.oldest = {"one": {1: 5, 3: 8}, "two": {3: 7}}
    assert heal(world.site, world.observed()) == [Retire("one", 3)]


def test_a_server_that_others_see_is_there_even_if_it_is_not_reached_from_here() -> None:
    world = World(site("ring", 3), {"one", "three"})
    for name in NAMES[:3]:
        world.has[name] = {1: 5, 2: 5, 3: 5}
    for pair in links(world.site, NAMES[:3]):
        world.link(pair)
    assert heal(world.site, world.observed()) == []


@pytest.mark.parametrize("halted", [False, True])
def test_a_server_whose_log_went_back_is_stopped_first_and_never_copied_from(halted: bool) -> None:
    world = World(site("mesh", 3), set(NAMES[:3]))
    for name in NAMES[:2]:
        world.has[name] = {1: 5, 2: 5, 3: 5}
        world.databases[name] = {"shop": 1}
    for pair in links(site("mesh", 2), NAMES[:2]):
        world.link(pair)
    seen: Mapping[str, Seen | Away] = world.observed().servers
    one = seen["one"]
    assert isinstance(one, Seen)
    steps = heal(
        world.site,
        Observed({**seen, "one": replace(one, went_back=True, read_only=halted)}),
    )
    assert isinstance(steps[0], NeedsPerson if halted else Halt)
    assert any(isinstance(s, NeedsPerson) and "cluster rejoin one" in s.words for s in steps)
    assert [step for step in steps if isinstance(step, Copy)] == [Copy("two", "three")]


def before_a_hole(**error: object) -> World:
    """Three is where two's log lacks a transaction of one's; one is down."""
    world = World(site("ring", 3), {"two", "three"})
    world.has = {"one": {1: 9}, "two": {1: 9, 2: 5, 3: 5}, "three": {1: 7, 2: 5, 3: 5}}
    world.holes = {"two": {(1, 7)}}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.link(Pair("three", "two"), io="No", io_errno=1236, **error)
    return world


@pytest.mark.parametrize("dies", [False, True])
def test_a_link_is_brought_past_a_hole_and_strict_mode_is_on_again_whatever_is_interrupted(
    dies: bool,
) -> None:
    world = before_a_hole(io_error=HOLE)
    world.dies = dies
    assert healed(world, interrupted=True) == []
    assert world.has["three"][1] == 9
    assert world.lax == set()


def test_strict_mode_stays_on_for_any_other_refusal_and_where_the_origins_log_went_back() -> None:
    others = before_a_hole(io_error="it is not in the master's binlog")
    assert heal(others.site, others.observed()) == [Restart("three", "two", "")]
    world = before_a_hole(io_error=HOLE)
    seen: Mapping[str, Seen | Away] = world.observed().servers
    two = seen["two"]
    assert isinstance(two, Seen)
    steps = heal(world.site, Observed({**seen, "two": replace(two, went_back=True)}))
    assert not any(isinstance(step, PassHole) for step in steps)


def test_a_log_that_has_others_transactions_under_its_own_number_is_to_join_anew() -> None:
    world = World(site("mesh", 2), {"one", "two"})
    world.has = {"one": {1: 5, 2: 5}, "two": {1: 5, 2: 5}}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.link(Pair("two", "one"), sql="No", sql_errno=1950)
    (step,) = healed(world, interrupted=False)
    assert isinstance(step, NeedsPerson)
    assert step.words.endswith("by: standfast cluster rejoin two")


@pytest.mark.parametrize("error", [1062, 1950])
@pytest.mark.parametrize(("stands_at", "passes"), [("1-1-5", True), ("1-1-6", False), ("", False)])
def test_a_link_is_started_again_only_where_what_it_stands_at_is_known_to_have_come(
    stands_at: str, passes: bool, error: int
) -> None:
    world = World(site("mesh", 2), {"one", "two"})
    world.has = {"one": {1: 6, 2: 5}, "two": {1: 5, 2: 5}}
    for pair in links(world.site, world.up):
        world.link(pair)
    world.link(Pair("two", "one"), sql="No", sql_errno=error, stands_at=stands_at)
    (step,) = heal(world.site, world.observed())
    assert isinstance(step, Restart if passes else NeedsPerson)
