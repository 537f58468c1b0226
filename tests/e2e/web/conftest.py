"""One store for all tests, and two servers over it: one alone, one as behind a proxy with TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.web.dashboard import Dashboard, fill, serve
from tests.unit.watch.journals import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A store full of hostile texts."""
    filled = fill(tmp_path_factory.mktemp("dashboard"))
    yield filled
    filled.watcher.close()
    filled.engine.dispose()


@pytest.fixture(scope="session")
def shown(house: House) -> Iterator[Dashboard]:
    """The dashboard as it is served alone."""
    with serve(house) as found:
        yield found


@pytest.fixture(scope="session")
def proxied(house: House) -> Iterator[Dashboard]:
    """The dashboard as a proxy sees it that offers it under a path of its own host."""
    with serve(house, "--root-path", "/standfast", "--trust-proxy", "127.0.0.1") as found:
        # The proxy takes the prefix away.
        found.url = found.url.removesuffix("standfast/")
        yield found


@pytest.fixture(autouse=True)
def nothing_fails_in_the_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of these may leave a traceback in a server's log, whatever it was about."""
    yield
    for name in {"shown", "proxied"} & set(request.fixturenames):
        said = request.getfixturevalue(name).log.read_text()
        assert "Traceback" not in said, said
