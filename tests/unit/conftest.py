"""What holds for every unit test."""

from __future__ import annotations

import pytest

from standfast.record import channel


@pytest.fixture(autouse=True)
def _ordinary_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests in this process may have imported gevent (pyinfra does), which says nothing of
    how a test serves its requests: in ordinary threads. Greenlets are tried in processes of
    their own."""
    monkeypatch.setattr(channel, "is_shared", lambda: False)
