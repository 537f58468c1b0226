"""A sketch of many durations from which quantiles can be read, and which can be merged.

Buckets on a logarithmic scale, so that every quantile is within two percent of the true value
whatever the distribution: DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable
quantile sketch with relative-error guarantees", PVLDB 12(12), 2019). Here the buckets are never
collapsed, as durations up to 2^63 ns need at most 1,092 of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import floor, log

#: The largest distance of a quantile from the true value, as a share of the true value.
RELATIVE_ERROR = 0.02
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / log(_GAMMA)
#: Far beyond any duration's: what lies past it is no sketch.
_LAST_BUCKET = 100_000


class Sketch:
    """How many durations, in nanoseconds, fell into each bucket.

    Bucket ``i`` holds what lies from ``gamma**i`` up to, not including, ``gamma**(i + 1)``.
    """

    __slots__ = ("_buckets",)

    def __init__(self, durations_ns: Iterable[int] = ()) -> None:
        """The sketch of some durations, whole and not negative; zero counts as one."""
        self._buckets: Counter[int] = Counter(
            [int(log(duration or 1) * _PER_LOG) for duration in durations_ns]
        )

    @property
    def count(self) -> int:
        """How many durations went in."""
        return self._buckets.total()

    def merge(self, other: Sketch) -> None:
        """Takes in all that ``other`` holds; the order of merging makes no difference."""
        self._buckets.update(other._buckets)

    def quantile(self, q: float) -> float | None:
        """The duration, in nanoseconds, below which the share ``q`` lies; None when empty.

        The true value is element ``floor(q * (count - 1))`` of the sorted durations. Raises
        ValueError for a ``q`` that is not within 0 and 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
        rank = floor(q * (self.count - 1))
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen > rank:
                # The point of the bucket that is equally far, in proportion, from both ends.
                return float(2 * _GAMMA ** (index + 1) / (1 + _GAMMA))
        return None

    def to_bytes(self) -> bytes:
        """Pairs of numbers, each in as many groups of seven bits as it needs (LEB128).

        A pair is the distance to the bucket before and the count of this one.
        """
        numbers: list[int] = []
        before = 0
        for index, count in sorted(self._buckets.items()):
            numbers += (index - before, count)
            before = index
        if max(numbers, default=0) < 0x80:
            return bytes(numbers)
        data = bytearray()
        for number in numbers:
            while number >= 0x80:
                data.append(number & 0x7F | 0x80)
                number >>= 7
            data.append(number)
        return bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """The sketch that ``to_bytes`` wrote. Raises ValueError for anything else."""
        numbers = list(data) if max(data, default=0) < 0x80 else _numbers(data)
        if len(numbers) % 2:
            raise ValueError("the sketch is cut short")
        sketch = cls()
        sketch._buckets = Counter(dict(zip(accumulate(numbers[0::2]), numbers[1::2], strict=True)))
        return sketch

    @classmethod
    def merged(cls, sketches: Sequence[bytes]) -> Sketch:
        """All of these, as ``to_bytes`` wrote them, in one: a page waits for thousands.

        Raises ValueError for anything else.
        """
        import numpy as np  # the watcher does without

        data = np.frombuffer(b"".join(sketches), np.uint8)
        last = data < 0x80
        if len(data) and not last[-1]:
            raise ValueError("the sketch is cut short")
        starts = np.flatnonzero(np.concatenate(([True], last[:-1])))[: len(data)]
        lengths = np.diff(starts, append=len(data))
        groups = np.arange(len(data)) - np.repeat(starts, lengths)
        if groups.max(initial=0) > 7:
            raise ValueError("the sketch has a number beyond all measure")
        numbers = np.add.reduceat((data & 0x7F).astype(np.int64) << 7 * groups, starts)
        # How many numbers lie before each sketch: its distances are counted from zero.
        sizes = np.cumsum([0, *map(len, sketches)])
        before = np.concatenate(([0], np.cumsum(last)))[sizes]
        if (before % 2).any():
            raise ValueError("the sketch is cut short")
        indexes = np.concatenate(([0], np.cumsum(numbers[0::2])))
        indexes = indexes[1:] - np.repeat(indexes[before[:-1] // 2], np.diff(before) // 2)
        if indexes.min(initial=0) < 0 or indexes.max(initial=0) > _LAST_BUCKET:
            raise ValueError("the sketch has a number beyond all measure")
        # Summed as floats, which are exact up to 2**53.
        totals = np.bincount(indexes, weights=numbers[1::2])
        buckets = np.flatnonzero(totals)
        counts = totals[buckets].astype(np.int64)
        sketch = cls()
        sketch._buckets = Counter(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))
        return sketch


def _numbers(data: bytes) -> list[int]:
    numbers = []
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise ValueError("the sketch is cut short")
    return numbers
