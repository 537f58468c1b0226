"""By which way a server last let in is kept, for when the file says another."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from standfast.cluster.inventory import Site, load_site
from standfast.cluster.inventory.template import template
from standfast.cluster.last_login import LastLogin, read, write
from standfast.cluster.remote import logins
from standfast.errors import StandfastError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVLqQ1qq5vX0HqW0Hq1g0fQm1F5o4n3Yk0b5m0wq2Zt"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "site.toml"
    file.write_text(template("ann", KEY))
    return load_site(file)


def test_the_way_that_worked_last_is_tried_between_the_new_one_and_the_first(site: Site) -> None:
    server = site.servers[0]
    write(site, server, LastLogin("bob", 2200))
    ways = [(login.user, login.port) for login in logins(site, server)]
    assert ways == [("ann", 2222), ("bob", 2200), ("root", 22)]
    write(site, server, LastLogin("ann", 2222))
    assert [login.port for login in logins(site, server)] == [2222, 22]
    assert stat.S_IMODE(site.secrets.stat().st_mode) == 0o700


@pytest.mark.parametrize("kept", ["", "ann", "ann 70000", "ann -1", "ann x", "a b 22", "\udcff 22"])
def test_what_is_not_whole_is_no_login(site: Site, kept: str) -> None:
    server = site.servers[0]
    write(site, server, LastLogin("ann", 22))
    (site.secrets / "logins" / server.name).write_bytes(kept.encode(errors="surrogateescape"))
    assert read(site, server) is None


def test_a_folder_that_cannot_be_written_is_said(site: Site) -> None:
    site.secrets.mkdir(mode=0o700)
    (site.secrets / "logins").write_text("")
    with pytest.raises(StandfastError, match="cannot be written"):
        write(site, site.servers[0], LastLogin("ann", 22))
