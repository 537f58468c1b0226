"""What numbers out of a journal may be at most.

A journal is its application's word, and its numbers may be any of 64 bits. Within these bounds
every sum of two of them fits the store's columns and no database, page or report meets a number
that it cannot calculate with. What lies outside is set to the nearest bound.
"""

from __future__ import annotations

#: The largest number of a column of 64 bits.
MOST = 2**63 - 1
#: A moment in nanoseconds of the epoch: from 1970 to the year 2116.
CLOCK_NS = 2**62
#: A duration in nanoseconds: 36 years.
DURATION_NS = 2**60


def clock_ns(wall_ns: int) -> int:
    """A moment within bounds."""
    return min(max(wall_ns, 0), CLOCK_NS)
