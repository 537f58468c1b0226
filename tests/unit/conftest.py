"""What holds for every unit test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from standfast.record import channel
from tests.unit.watch.journals import House


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Iterator[None]:
    """What a module's watchers have open would else stay, until there are thousands of files."""
    yield
    while House.made:
        House.made[-1].close()


@pytest.fixture(autouse=True)
def _ordinary_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests in this process may have imported gevent (pyinfra does), which says nothing of
    how a test serves its requests: in ordinary threads. Greenlets are tried in processes of
    their own."""
    monkeypatch.setattr(channel, "is_shared", lambda: False)
