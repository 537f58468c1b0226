"""How the lists of the dashboard grow with the store: the same questions at two sizes.

    python -m benchmarks.growth [--kept N] [--times N]

Fills a store with N slow or failed requests and another with so many times as many, and asks both
for the lists. The times are of the processor, the best of five, in this process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from standfast.store import open_store
from standfast.store.listing import Wanted, closed_page, error_groups
from standfast.store.period import DAY_NS, Period
from standfast.store.tables import FAILED, SLOW

from .dashboard_store import Filler, Sizes

_APP_ID = 1
_ALL = Wanted(_APP_ID)
_REQUESTS = 100_000
_INCIDENTS = 100
_ROUNDS = 5

QUESTIONS: dict[str, Callable[[Engine], object]] = {
    "groups of errors, all time": lambda store: error_groups(store, _ALL),
    "groups of errors, one day": lambda store: error_groups(store, _one_day()),
    "errors by time": lambda store: closed_page(store, FAILED, _ALL),
    "slow requests by duration": lambda store: closed_page(store, SLOW, _ALL, order="duration"),
    "slow requests by route": lambda store: closed_page(store, SLOW, _ALL, order="route"),
    "a text that is never found": lambda store: closed_page(store, SLOW, _searched("nowhere-else")),
    "a text that is found often": lambda store: closed_page(store, SLOW, _searched("order")),
}


def _one_day() -> Wanted:
    return Wanted(_APP_ID, Period(time.time_ns() - DAY_NS))


def _searched(text: str) -> Wanted:
    return Wanted(_APP_ID, search=text)


def measure(kept: int) -> list[float]:
    """Milliseconds that each question takes in a store of so many kept requests."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "store.db"))
        Filler(store, Sizes(_REQUESTS, kept, _INCIDENTS), lambda _words: None).fill()
        times = [_best_ms(question, store) for question in QUESTIONS.values()]
        store.dispose()
    return times


def _best_ms(question: Callable[[Engine], object], store: Engine) -> float:
    taken = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        question(store)
        taken.append(time.process_time() - start)
    return min(taken) * 1000


def main() -> None:
    """Fills, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kept", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    more = options.kept * options.times
    print(f"{'slow or failed requests':30}{options.kept:>10,}{more:>10,}")
    for name, few, many in zip(QUESTIONS, measure(options.kept), measure(more), strict=True):
        print(f"{name:30}{few:>8.1f}ms{many:>8.1f}ms")


if __name__ == "__main__":
    main()
