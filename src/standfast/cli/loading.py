"""What every report says of workers that have not loaded their application yet."""

from __future__ import annotations

from standfast.cli.tables import harmless
from standfast.watch.loading import LONG_S, loading


def print_loading(journal: str, app: str | None) -> None:
    """Workers that hang at their start have no request, and no incident while they live."""
    for one in loading(journal):
        if one.age_s >= LONG_S and app in (None, one.app):
            print(harmless(f"W{one.words[1:]}."))
