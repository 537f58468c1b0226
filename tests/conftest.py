"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# Speed is measured in benchmarks/, on a quiet machine; a slow example is not a failure here.
settings.register_profile("standfast", deadline=None)
settings.load_profile("standfast")
