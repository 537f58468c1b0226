"""How long a try to sign in has to wait, as a function of the failures before it.

A browser in which the account was signed in to before is *known*, and waits for its own failures
alone. All other tries are *strangers'*, and wait for three counts at once: for those of their
address, for those of the pair of account and address, and for the budget that an account has for
all strangers together. The last tries of a budget are for addresses that have not failed at this
account.

What holds, whatever is tried and whenever (tests/unit/store/test_people_slowing.py):

1. An account is looked at for strangers ``BUDGET.holds`` times at most, and once more for each
   ``BUDGET.every_s``: over an hour no more often than the limit of an account alone allows.
2. Of ``n < BUDGET.kept`` addresses that fail at an account, no order and no patience makes
   another address wait for that account's budget, or a known browser wait at all.
3. Whatever was waited for, the next try is possible ``LONGEST_S`` after the last failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

_SECOND = 1_000_000_000
#: After so long without a failure a count is forgotten.
FORGOTTEN_S = 24 * 3600


@dataclass(frozen=True)
class Count:
    """The failures of one subject, and when the last of them was, in ns of the epoch."""

    failures: int = 0
    last_ns: int = 0

    def passed_ns(self, now_ns: int) -> int:
        """How long ago that was."""
        # A clock that was set back must not keep anybody out until it has caught up.
        return abs(now_ns - self.last_ns)


@dataclass(frozen=True)
class Doubling:
    """After ``free`` failures each further try waits: 1 s, then twice as long each time."""

    free: int
    longest_s: int

    def seen(self, count: Count, now_ns: int) -> Count:
        """The count without what is forgotten."""
        return Count() if count.passed_ns(now_ns) > FORGOTTEN_S * _SECOND else count

    def wait_ns(self, count: Count, now_ns: int) -> int:
        """How long from now the next try has to wait."""
        over = count.failures - self.free
        wait_s = 0 if over < 0 else min(1 << min(over, 30), self.longest_s)
        return max(0, wait_s * _SECOND - count.passed_ns(now_ns))

    def failed(self, count: Count, now_ns: int) -> Count:
        """The count after one more failure."""
        return Count(count.failures + 1, now_ns)


@dataclass(frozen=True)
class Budget:
    """``holds`` failures at once, and one more every ``every_s``; ``kept`` of them are for
    addresses that have not failed."""

    holds: int
    every_s: int
    kept: int

    def seen(self, count: Count, now_ns: int) -> Count:
        """The count without the failures that time has made good for."""
        made_good, rest_ns = divmod(count.passed_ns(now_ns), self.every_s * _SECOND)
        left = min(count.failures, self.holds) - made_good
        return Count(left, now_ns - rest_ns) if left > 0 else Count(0, now_ns)

    def wait_ns(self, count: Count, now_ns: int, *, has_failed: bool) -> int:
        """How long from now until there is a try left for an address that has failed or not."""
        over = count.failures - (self.holds - (self.kept if has_failed else 0)) + 1
        return max(0, over * self.every_s * _SECOND - count.passed_ns(now_ns)) if over > 0 else 0

    def failed(self, count: Count, now_ns: int) -> Count:
        """The count after one more failure."""
        return replace(count, failures=count.failures + 1)


#: One known browser at its account, and the old password in a session.
KNOWN = Doubling(free=5, longest_s=60)
#: One address, whatever the accounts are.
ADDRESS = Doubling(free=20, longest_s=15 * 60)
#: One address at one account.
PAIR = Doubling(free=5, longest_s=15 * 60)
#: One account, for all strangers.
BUDGET = Budget(holds=46, every_s=180, kept=41)
LONGEST_S = BUDGET.holds * BUDGET.every_s


@dataclass(frozen=True)
class Known:
    """The count of a known browser at its account."""

    browser: Count

    @classmethod
    def seen(cls, counts: Sequence[Count], now_ns: int) -> Known:
        """From the one count, as it is stored."""
        (browser,) = counts
        return cls(KNOWN.seen(browser, now_ns))

    def wait_ns(self, now_ns: int) -> int:
        """How long from now the next try has to wait; 0 if it may be made."""
        return KNOWN.wait_ns(self.browser, now_ns)

    def failed(self, now_ns: int) -> tuple[Count, ...]:
        """What is to be stored after one more failure."""
        return (KNOWN.failed(self.browser, now_ns),)


@dataclass(frozen=True)
class Stranger:
    """The counts of an address, of the pair of account and address, and of the account."""

    address: Count
    pair: Count
    account: Count

    @classmethod
    def seen(cls, counts: Sequence[Count], now_ns: int) -> Stranger:
        """From the three counts, as they are stored."""
        address, pair, account = counts
        return cls(
            ADDRESS.seen(address, now_ns), PAIR.seen(pair, now_ns), BUDGET.seen(account, now_ns)
        )

    def wait_ns(self, now_ns: int) -> int:
        """How long from now the next try has to wait; 0 if it may be made."""
        return max(
            ADDRESS.wait_ns(self.address, now_ns),
            PAIR.wait_ns(self.pair, now_ns),
            BUDGET.wait_ns(self.account, now_ns, has_failed=self.pair.failures > 0),
        )

    def failed(self, now_ns: int) -> tuple[Count, ...]:
        """What is to be stored after one more failure."""
        return (
            ADDRESS.failed(self.address, now_ns),
            PAIR.failed(self.pair, now_ns),
            BUDGET.failed(self.account, now_ns),
        )
