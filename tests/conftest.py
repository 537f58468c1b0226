"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Speed is measured in benchmarks/, on a quiet machine; a slow example is not a failure here.
settings.register_profile("standfast", deadline=None)
settings.load_profile("standfast")

#: All tests of this folder share the servers that it boots.
_LAB = "tests/lab"
#: Each of these tests stands for itself, and there are many of them.
_APART = "tests/e2e/test_verdicts.py"


class _Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """Under ``-n``, tests that share their fixtures run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file == _APART:
            return nodeid
        return _LAB if file.startswith(_LAB) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Grouped:
    """How the tests are shared out; the folders that are named first begin first."""
    config.option.loadscopereorder = False
    return _Grouped(config, log)
