"""The watcher: journals and processes in, rows in the store out."""

from __future__ import annotations

import sys
from collections.abc import Callable

from standfast.store import open_store

from .intake import Progress
from .lock import is_watched, watching
from .settings import Settings
from .watcher import Watcher

__all__ = ["Settings", "Watcher", "is_watched", "watch"]


def _to_stderr(words: str) -> None:
    print(f"standfast watch: {words}", file=sys.stderr)


def watch(
    journal: str,
    store_url: str,
    *,
    once: bool = False,
    settings: Settings | None = None,
    warn: Callable[[str], None] = _to_stderr,
    progress: Progress | None = None,
) -> Watcher:
    """Watches a journal folder until interrupted, or with ``once`` drains it and returns.

    ``warn`` is told, once each, of what is not as it should be; ``progress`` is called after
    each batch. Raises StandfastError where the folder or the store cannot be used or another
    watcher has the folder. The watcher that is returned tells what was done.
    """
    with watching(journal) as is_ours:
        engine = open_store(store_url)
        watcher = Watcher(journal, engine, settings, warn=warn, progress=progress, is_ours=is_ours)
        try:
            if once:
                watcher.drain_patiently()
            else:
                watcher.run_forever()
        finally:
            watcher.close()
            engine.dispose()
    return watcher
