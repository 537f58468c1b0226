"""Sites whose servers begin with a copy of one empty data folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from standfast.cluster.database import accounts
from tests.tools import need

from .machines import FROM, Machines, install

_numbers = count(100)


@pytest.fixture(scope="package")
def empty_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package makes of a server's data folder."""
    need("mariadbd", "mariadb", "mariadb-dump")
    folder = tmp_path_factory.mktemp("empty") / "data"
    install(folder)
    return folder


@pytest.fixture
def bare(tmp_path: Path, empty_data: Path) -> Iterator[Machines]:
    """A site without servers as yet: the test says which, and how they are connected."""
    with site_in(tmp_path, empty_data) as machines:
        yield machines


@pytest.fixture(scope="module", params=["ring", "mesh"])
def circle(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_data: Path
) -> Iterator[Machines]:
    """Three servers that replicate, with a table; a test leaves them as it found them."""
    with site_in(tmp_path_factory.mktemp("circle"), empty_data) as machines:
        machines.set_up(request.param, 3, databases=["shop"])
        machines.settle()
        machines["one"].ask(
            "CREATE TABLE shop.rows_of (id INT AUTO_INCREMENT PRIMARY KEY, words VARCHAR(60))",
            "CREATE TABLE shop.options (name VARCHAR(60) PRIMARY KEY, value TEXT)",
        )
        machines.level()
        yield machines


@contextmanager
def site_in(folder: Path, empty_data: Path) -> Iterator[Machines]:
    """A site without servers as yet, at addresses of its own."""
    machines = Machines(folder, empty_data, f"127.{next(_numbers)}.{os.getpid() % 250}")
    try:
        with pytest.MonkeyPatch.context() as here:
            # On one machine all connections come from one address.
            here.setattr(accounts, "comes_from", lambda peer: FROM)
            yield machines
    finally:
        machines.stop()
