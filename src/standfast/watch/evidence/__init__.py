"""Evidence: what can be seen of workers and of their host from outside, one source per file.

A collector is asked two things. ``look`` comes a few times a second with the workers that live:
whatever has to be known before a death (counters, curves, descriptors) is noted there. ``facts``
comes when a worker has died, and again a little later, since some sources are slow to tell.
"""

from __future__ import annotations

from .collector import Collector, Death, Living
from .observer import Observer
from .sources import all_collectors
from .stack import Stacks

__all__ = ["Collector", "Death", "Living", "Observer", "Stacks", "all_collectors"]
