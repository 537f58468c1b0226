"""Charts as numbers: places and sizes in a box of 100 by 100, which the templates draw as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from standfast.diagnose.words import duration, moment, size
from standfast.store.period import Period

_MOST_BARS = 400
_LEAST = 1.5


class Bar(NamedTuple):
    """One bar; ``title`` says in words what it stands for."""

    x: float
    y: float
    width: float
    height: float
    title: str


class Bars(NamedTuple):
    """A small chart over time. ``highest`` is the value of its highest bar."""

    bars: list[Bar]
    highest: int
    total: int
    start_ns: int
    end_ns: int


def over_time(counts: Iterable[tuple[int, int]], step_ns: int, period: Period, now_ns: int) -> Bars:
    """Bars of ``step_ns`` each from pairs of time and count, over the whole of the period."""
    sums: dict[int, int] = {}
    for ns, count in counts:
        sums[ns // step_ns] = sums.get(ns // step_ns, 0) + count
    end = ((period.until_ns or now_ns) - 1) // step_ns
    start = period.since_ns // step_ns if period.since_ns is not None else min(sums, default=end)
    # A clock that was far off somewhere must not make a chart of a million bars.
    start = max(start, end - _MOST_BARS + 1)
    width = 100 / max(end - start + 1, 1)
    shown = {at: count for at, count in sums.items() if start <= at <= end and count}
    highest = max(shown.values(), default=0)
    bars = []
    for at, count in sorted(shown.items()):
        height = max(100 * count / highest, _LEAST)
        title = f"{count} from {_minute(at * step_ns)}"
        bars.append(Bar((at - start) * width, 100 - height, width * 0.86, height, title))
    return Bars(bars, highest, sum(shown.values()), start * step_ns, (end + 1) * step_ns)


class Flight(NamedTuple):
    """A request on the time line of an incident: from ``x``, so wide."""

    x: float
    width: float


class TimeLine(NamedTuple):
    """What was in flight before a worker died, and its memory over the same time.

    ``memory`` are the points of a line, empty where it was not sampled; ``marks`` are times with
    their places.
    """

    flights: list[Flight]
    memory: str
    memory_low: str
    memory_high: str
    marks: list[tuple[float, str]]


def time_line(
    begun_ns: Sequence[int], ended_ns: int, samples: Sequence[Sequence[float | None]]
) -> TimeLine:
    """The time line of an incident that came to its end at ``ended_ns``. ``samples`` are those of
    a ``curve``: seconds before the end and bytes come first in each."""
    known = [(ago, rss) for ago, rss, *_ in samples if ago is not None and rss is not None]
    longest_s = max([(ended_ns - ns) / 1e9 for ns in begun_ns] + [ago for ago, _ in known] + [1.0])
    # A request of hours would leave nothing to be seen of the seconds before the end.
    shown_s = min(longest_s, max(60.0, max((ago for ago, _ in known), default=0.0))) * 1.02

    def place(ago_s: float) -> float:
        return 100 * (1 - min(max(ago_s / shown_s, 0.0), 1.0))

    flights = []
    for ns in begun_ns:
        x = place((ended_ns - ns) / 1e9)
        flights.append(Flight(x, max(100 - x, 0.6)))
    sizes = [rss for _, rss in known]
    low, high = min(sizes, default=0.0), max(sizes, default=0.0)
    # From nothing up: a line that wavers by a MiB must not look like a mountain.
    top = high * 1.05 or 1.0
    memory = " ".join(
        f"{place(ago):.2f},{100 - 100 * rss / top:.2f}" for ago, rss in known if ago <= shown_s
    )
    marks = [(100 * (1 - part), f"−{duration(part * shown_s)}") for part in (1, 0.75, 0.5, 0.25)]
    return TimeLine(flights, memory, size(low), size(high), [*marks, (100.0, "end")])


def _minute(ns: int) -> str:
    return f"{moment(ns)[:16].replace('T', ' ')} UTC"
