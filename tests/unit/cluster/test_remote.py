"""The words of the commands that reach a server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from standfast.cluster.inventory import load_site
from standfast.cluster.inventory.template import template
from standfast.cluster.remote import Login, logins

HASH = 40  # %C, which ssh replaces by a hash
WHILE_MADE = 17  # what ssh adds to the name while it makes the socket
MOST = 107


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def option(name: str, folder: str = "/home/ann/site", *, kept: bool = True) -> str:
    login = Login("ie", "192.0.2.1", 22, "ann", Path(folder) / "known_hosts")
    (found,) = [word for word in login.words(kept=kept) if word.startswith(f"{name}=")]
    return found.partition("=")[2]


def test_a_kept_connection_has_a_socket_that_ssh_can_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    path = option("ControlPath", "/home/" + "x" * 200)
    assert len(path) - len("%C") + HASH + WHILE_MADE <= MOST
    assert option("ControlMaster") == "auto"


def test_sites_share_no_connections() -> None:
    assert option("ControlPath", "/home/ann/a") != option("ControlPath", "/home/ann/b")


def test_sockets_lie_where_nobody_else_can_put_one(temporary: Path) -> None:
    folder = Path(option("ControlPath")).parent
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_keeps_no_connection(temporary: Path) -> None:
    taken = temporary / f"standfast-{os.getuid()}"
    taken.mkdir()
    taken.chmod(0o777)
    assert option("ControlPath") == "none" and option("ControlMaster") == "no"
    taken.rmdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    taken.symlink_to(elsewhere)
    assert option("ControlPath") == "none"
    taken.unlink()
    taken.write_text("")
    assert option("ControlPath") == "none"


def test_a_login_that_is_proven_anew_shares_nothing() -> None:
    assert option("ControlPath", kept=False) == "none"
    assert option("ControlPersist", kept=False) == "no"


@pytest.mark.parametrize(("user", "name"), [("bob", "bob"), ("root", "ann")])
def test_each_admin_logs_in_under_their_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, name: str
) -> None:
    monkeypatch.setenv("LOGNAME", user)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVLqQ1qq5vX0HqW0Hq1g0fQm1F5o4n3Yk0b5m0wq2Zt"
    text = template("ann", key)
    again = text[text.index("[[admins]]") : text.index("# number")].replace("ann", "bob")
    file = tmp_path / "site.toml"
    file.write_text(text.replace("# number", f"{again}\n# number", 1))
    site = load_site(file)
    assert [admin.name for admin in site.admins] == ["ann", "bob"]
    by_admin, first = logins(site, site.servers[0])
    assert (by_admin.user, by_admin.port, first.user, first.port) == (name, 2222, "root", 22)
