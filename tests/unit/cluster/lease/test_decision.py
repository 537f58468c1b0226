"""No two runs change one server at a time, in whatever order they come, wait, break and die."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.cluster.lease.decision import Go, Lease, Refuse, Take, Taking, Wait, decide
from standfast.cluster.lease.holding import _BROKEN_S, FRESH_S
from standfast.cluster.lease.place import EXPIRY_S

SERVERS = ("ie", "nl", "us")
TOKENS = ("a", "b", "c")


@dataclass
class World:
    """Servers with their leases as (expiry, token), a clock, and who is about to change what: it
    may begin up to FRESH_S after its lease was seen."""

    now: int = 0
    leases: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: By server and run, when the lease was seen.
    about: dict[tuple[str, str], int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    #: By server, the runs that have gone on and not given it back.
    holders: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in SERVERS})

    def swap(self, server: str, seen: str, token: str | None) -> Lease | None:
        """As the script of ``place`` does it."""
        if seen == self.text(server):
            if token is None:
                del self.leases[server]
            else:
                self.leases[server] = (self.now + EXPIRY_S, token)
        if server not in self.leases:
            return None
        expiry, token = self.leases[server]
        return Lease(token, "ann@here", "apply", 0, expiry - self.now, self.text(server))

    def text(self, server: str) -> str:
        return "{} {}".format(*self.leases[server]) if server in self.leases else ""


def run(
    world: World, token: str, reached: frozenset[str], breaks: bool, waits: int = 3
) -> Iterator[None]:
    """One run, as ``Hold`` drives it: between two steps of it anything may happen. It changes each
    server twice, and gives back what it has."""
    taking = Taking(token, dict.fromkeys(SERVERS), breaks, waits)
    mine: dict[str, str] = {}
    world.ends[token] = "on its way"
    broken = False
    while True:
        step = taking.next()
        if isinstance(step, Go | Refuse):
            break
        if isinstance(step, Take):
            broken = broken or bool(taking.broken(step.servers))
            for name in step.servers:
                yield
                if name not in reached:
                    del taking.seen[name]
                    continue
                lease = world.swap(name, taking.text(name), token)
                taking.seen[name] = lease
                if lease is not None and lease.token == token:
                    mine[name] = lease.text
        yield
        if not taking.seen:
            break
    if isinstance(step, Go) and taking.seen:
        world.ends[token] = "went on"
        assert set(mine) == reached
        for name in mine:
            world.holders[name].add(token)
        until = world.now + (_BROKEN_S if broken else 0)
        while world.now < until:
            yield
        for name in [*mine, *mine]:
            lease = world.swap(name, mine[name], token)
            if lease is None or lease.token != token:
                world.ends[token] = "stopped"
                break
            mine[name] = lease.text
            world.about[name, token] = world.now
            yield
            del world.about[name, token]
    elif world.ends[token] == "on its way":
        world.ends[token] = "gave way"
    for name, text in mine.items():
        yield
        world.holders[name].discard(token)
        if world.leases.get(name, (0, ""))[1] == token and text == world.text(name):
            world.swap(name, text, None)


def play(world: World, runs: dict[str, Iterator[None]], order: list[str | int]) -> Iterator[None]:
    for who in order:
        if isinstance(who, int):
            world.now += who
        else:
            next(runs[who], None)
        yield


def nobody_meets(world: World) -> bool:
    return all(
        abs(one - other) > FRESH_S
        for ((first, _), one), ((second, _), other) in combinations(world.about.items(), 2)
        if first == second
    )


def _bursts(*who: str | int) -> st.SearchStrategy[list[str | int]]:
    """Now one goes on for a while, now another."""
    burst = st.tuples(st.sampled_from(who), st.integers(1, 9))
    return st.lists(burst, min_size=8, max_size=20).map(
        lambda bursts: [who for who, many in bursts for _ in range(many)]
    )


ORDERS = _bursts(*TOKENS)
TIMES = _bursts(*TOKENS, *TOKENS, 1, 61)
SOME = st.frozensets(st.sampled_from(SERVERS), min_size=1)


@settings(max_examples=200, deadline=None)
@given(order=ORDERS, reached=st.tuples(SOME, SOME, SOME))
def test_in_whatever_order_runs_come_no_two_hold_one_server(
    order: list[str | int], reached: tuple[frozenset[str], ...]
) -> None:
    world = World()
    runs = {
        token: run(world, token, there, False) for token, there in zip(TOKENS, reached, strict=True)
    }
    for _ in play(world, runs, order):
        assert all(len(holders) <= 1 for holders in world.holders.values())
    assert all(end != "stopped" for end in world.ends.values())


@settings(max_examples=200, deadline=None)
@given(order=TIMES, breaks=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_whoever_is_slow_dies_or_is_broken_changes_nothing_beside_another(
    order: list[str | int], breaks: tuple[bool, bool, bool]
) -> None:
    world = World()
    everywhere = frozenset(SERVERS)
    runs = {
        token: run(world, token, everywhere, each)
        for token, each in zip(TOKENS, breaks, strict=True)
    }
    for _ in play(world, runs, order):
        assert nobody_meets(world)


@settings(max_examples=200, deadline=None)
@given(order=ORDERS)
def test_of_runs_that_begin_together_one_goes_on_and_all_is_given_back(
    order: list[str | int],
) -> None:
    world = World()
    everywhere = frozenset(SERVERS)
    runs = {token: run(world, token, everywhere, False, waits=1000) for token in TOKENS}
    for _ in play(world, runs, order):
        pass
    for token in reversed(TOKENS):  # who waits is last, so that the others are gone by then
        for _ in runs[token]:
            pass
    assert "went on" in world.ends.values()
    assert world.leases == {}


def lease(token: str, left_s: int = 30) -> Lease:
    return Lease(token, "bob@there", "heal", 5, left_s, f"{token} {left_s}")


def test_what_is_seen_decides() -> None:
    mine, other, old = lease("b"), lease("c"), lease("c", 0)
    assert decide("b", {"ie": None, "nl": old}) == Take(("ie", "nl"))
    assert decide("b", {"ie": mine, "nl": None}) == Take(("nl",))
    assert decide("b", {"ie": mine, "nl": mine}) == Go()
    assert decide("b", {"ie": None, "nl": other}) == Refuse({"nl": other})
    assert decide("b", {"ie": mine, "nl": other}) == Wait(("nl",))
    assert decide("b", {"ie": mine, "nl": other}, patient=False) == Refuse({"nl": other})
    assert decide("d", {"ie": lease("d"), "nl": other}) == Refuse({"nl": other})
    assert decide("d", {"ie": None, "nl": other}, breaks=True) == Take(("ie", "nl"))
