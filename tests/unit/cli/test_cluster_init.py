"""``cluster init`` writes a file to begin with, and harms nothing that is there."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from standfast.cli.main import main
from standfast.cluster.inventory import load_site


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's home without keys, and an empty folder to work in."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return home


def make_key(file: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file.with_name(f"{file.name}.pub").read_text().strip()


def test_ones_own_key_is_let_in(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = make_key(home / ".ssh/id_ed25519")
    assert main(["cluster", "init"]) == 0
    site = load_site("site.toml")
    assert site.admins[0].keys == (key,)
    assert site.identity is None
    assert not Path("site.key").exists()
    assert "standfast lab up\n" in capsys.readouterr().out


def test_a_public_key_without_its_private_half_is_not_taken(home: Path) -> None:
    make_key(home / ".ssh/id_ed25519")
    (home / ".ssh/id_ed25519").unlink()
    assert main(["cluster", "init"]) == 0
    assert load_site("site.toml").identity == "site.key"


def test_who_has_no_key_gets_a_pair_for_nobody_elses_eyes(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".git").mkdir()
    assert main(["cluster", "init", "-f", "other.toml"]) == 0
    site = load_site("other.toml")
    identity = site.identity_file
    assert identity is not None
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    assert site.admins[0].keys == (Path("site.key.pub").read_text().strip(),)
    said = capsys.readouterr().out
    assert "Do not commit what stays beside it: shop.secrets/ and site.key" in said
    assert "standfast cluster apply -f other.toml" in said


def test_nothing_is_overwritten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("site.toml").write_text("mine")
    assert main(["cluster", "init"]) == 2
    assert Path("site.toml").read_text() == "mine"
    Path("site.toml").unlink()
    Path("site.key").write_text("mine too")
    assert main(["cluster", "init"]) == 2
    assert Path("site.key").read_text() == "mine too"
    said = capsys.readouterr().err
    assert "site.toml is there already" in said
    assert "site.key is there already" in said


def test_a_folder_that_cannot_be_written_is_said(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_key(home / ".ssh/id_ed25519")
    assert main(["cluster", "init", "-f", "nowhere/site.toml"]) == 1
    assert "nowhere/site.toml cannot be written: No such file" in capsys.readouterr().err


def test_check_says_what_it_understood(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cluster", "init"])
    capsys.readouterr()
    assert main(["cluster", "check"]) == 0
    said = capsys.readouterr().out
    assert "shop (shop.example), administered by " in said
    assert [line.split()[:4] for line in said.splitlines() if "10.88" in line] == [
        ["ie", "1", "10.88.0.11", "2222"],
        ["nl", "2", "10.88.0.12", "2222"],
        ["us", "3", "10.88.0.13", "2222"],
    ]
    assert max(map(len, said.splitlines())) <= 80
    Path("site.toml").write_text(Path("site.toml").read_text().replace("mesh", "star"))
    assert main(["cluster", "check"]) == 2
    assert "database.topology: must be 'ring' or 'mesh'" in capsys.readouterr().err
