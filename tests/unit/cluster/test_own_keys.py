"""Which keys the tool can log in with, from the files that `ssh` itself would take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standfast.cluster.own_keys import at_hand, blob


def pair(file: Path, passphrase: str = "") -> str:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(file)]
    subprocess.run(words, check=True)
    return blob(Path(f"{file}.pub").read_text())


def test_the_named_key_alone_counts_and_its_file_pub_only_where_it_is_locked(
    tmp_path: Path,
) -> None:
    free, locked = tmp_path / "free", tmp_path / "locked"
    keys = pair(free), pair(locked, "a passphrase")
    Path(f"{free}.pub").write_text("not what belongs to it")
    assert at_hand(free) == {keys[0]}
    assert at_hand(locked) == {keys[1]}
    Path(f"{locked}.pub").unlink()
    assert at_hand(locked) == at_hand(tmp_path / "nothing") == frozenset()


def test_without_a_named_key_it_is_those_that_ssh_takes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert at_hand(None) == frozenset()
    (tmp_path / ".ssh").mkdir(mode=0o700)
    usual = pair(tmp_path / ".ssh" / "id_ed25519")
    pair(tmp_path / ".ssh" / "another")
    assert at_hand(None) == {usual}
