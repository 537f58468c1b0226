"""How long a try waits: what an attacker gets, and whom they can keep out.

The attackers here choose which address tries when, and try again as soon as they may.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.store.people.slowing import BUDGET, LONGEST_S, Count, Doubling, Known, Stranger

SECOND = 1_000_000_000
HOUR_S = 3600
FORTY = 40
NOW_NS = 1_795_000_000 * SECOND


@dataclass
class Account:
    """One account, all who guess at it, and a clock."""

    now_ns: int = NOW_NS
    looked: int = 0
    counts: dict[str, Count] = field(default_factory=dict)

    def _stranger(self, address: str) -> tuple[tuple[str, str, str], Stranger]:
        names = (f"address {address}", f"pair {address}", "account")
        return names, Stranger.seen([self.counts.get(n, Count()) for n in names], self.now_ns)

    def wait_s(self, address: str) -> float:
        return self._stranger(address)[1].wait_ns(self.now_ns) / SECOND

    def guess(self, address: str) -> bool:
        """A wrong password from an address; whether it was looked at."""
        names, seen = self._stranger(address)
        if seen.wait_ns(self.now_ns):
            return False
        self.looked += 1
        self.counts.update(zip(names, seen.failed(self.now_ns), strict=True))
        return True

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


def limit_of_an_account_alone(lasts_s: int) -> int:
    """How many guesses 5 free failures and then 1 s, 2 s … 60 s let through, from anywhere."""
    limit, count, now_ns, looked = Doubling(free=5, longest_s=60), Count(), NOW_NS, 0
    while now_ns <= NOW_NS + lasts_s * SECOND:
        looked, count = looked + 1, limit.failed(count, now_ns)
        now_ns += limit.wait_ns(count, now_ns)
    return looked


@pytest.mark.parametrize("addresses", [1, FORTY, 1000])
@pytest.mark.parametrize("hours", [1, 24])
def test_no_number_of_addresses_guesses_faster_than_the_limit_of_an_account_alone(
    addresses: int, hours: int
) -> None:
    account = Account()
    for _ in range(hours * 20):
        for number in range(addresses):
            if not account.guess(f"a{number}") and not account.counts.get(f"pair a{number}"):
                break  # nor may those after it, which have not failed either
        account.wait(180)
    assert account.looked <= limit_of_an_account_alone(hours * HOUR_S)


@pytest.mark.parametrize("held_back", [0, 1, 20, 39, 40])
def test_forty_addresses_keep_no_address_out_that_has_not_failed(held_back: int) -> None:
    """However many of them save their first try for later."""
    account = Account()
    for minute in range(2 * 60):
        for number in range(FORTY):
            # Those that were held back come one by one, as soon as the others have used up theirs.
            if number >= held_back or minute >= 60 + number:
                account.guess(f"a{number}")
        assert account.wait_s("owner") == 0
        account.wait(60)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, FORTY - 1), st.sampled_from([0, 0, 0, 1, 60, 180, 1800, -600])),
        max_size=300,
    )
)
def test_no_order_and_no_patience_of_forty_addresses_keeps_a_fresh_one_out(
    tries: list[tuple[int, int]],
) -> None:
    account = Account()
    for number, wait_s in tries:
        account.wait(wait_s)
        account.guess(f"a{number}")
        assert account.wait_s("owner") == 0
        assert account.looked <= BUDGET.holds + sum(abs(s) for _, s in tries) // BUDGET.every_s + 1


def test_one_address_leaves_the_tries_of_a_budget_to_who_has_mistyped() -> None:
    account = Account()
    account.guess("owner")
    for _ in range(24 * HOUR_S // 60):
        account.guess("attacker")
        account.wait(60)
    assert account.wait_s("owner") <= BUDGET.every_s
    assert account.looked < 120  # a quarter of an hour between two of one address


def test_a_known_browser_waits_for_its_own_failures_alone() -> None:
    seen = Known.seen([Count()], NOW_NS)
    waits = []
    now_ns = NOW_NS
    for _ in range(12):
        waits.append(seen.wait_ns(now_ns) // SECOND)
        now_ns += seen.wait_ns(now_ns)
        seen = Known.seen(seen.failed(now_ns), now_ns)
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60]


@given(
    st.lists(
        st.builds(Count, st.integers(0, 2**62), st.integers(0, 2**62)), min_size=3, max_size=3
    ),
    st.integers(0, 2**62),
)
def test_whatever_is_stored_no_wait_is_longer_than_the_longest(
    counts: list[Count], now_ns: int
) -> None:
    stranger = Stranger.seen(counts, now_ns)
    assert 0 <= stranger.wait_ns(now_ns) <= LONGEST_S * SECOND
    for count in stranger.failed(now_ns):
        assert count.failures <= 2**62 + 1 and abs(count.last_ns) <= max(2**62, now_ns)
    assert 0 <= Known.seen(counts[:1], now_ns).wait_ns(now_ns) <= 60 * SECOND
