"""Who is not let in reads which key was tried, from which file, and what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from standfast.cluster.refused import why
from standfast.cluster.remote import Login, NotLetIn, complaint

ANOTHER = "to use another private key, name it as `identity` in the site's file"


def make_key(file: Path, passphrase: str = "") -> str:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(file)]
    subprocess.run(words, check=True)
    return file.with_name(f"{file.name}.pub").read_text().strip()


def fingerprint(file: Path) -> str:
    return subprocess.check_output(["ssh-keygen", "-l", "-f", str(file)], text=True).split()[1]


def test_a_key_that_no_admin_has_is_named_with_its_file_and_fingerprint(tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    make_key(wrong)
    said = why("ann", wrong, [make_key(right)])
    assert said.startswith(f"with the key {wrong} ({fingerprint(wrong)}), which is none of")
    assert ANOTHER in said


def test_a_key_of_an_admin_is_not_known_to_the_server_yet(tmp_path: Path) -> None:
    key = tmp_path / "key"
    public = make_key(key)
    said = why("ann", key, [public])
    assert "applied last, and this is none of them" in said and ANOTHER in said
    said = why("root", key, [public])
    assert "give its public half to the server's provider" in said and ANOTHER in said


def test_a_key_that_ssh_does_not_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    secret, loose = tmp_path / "secret", tmp_path / "loose"
    keys = [make_key(secret, "correct horse"), make_key(loose)]
    assert f"a passphrase that nobody is asked for here: ssh-add {secret}" in why("a", secret, keys)
    loose.chmod(0o644)
    assert "others may read it, so ssh does not use it: chmod 600" in why("a", loose, keys)
    assert "cannot be read: No such file" in why("a", tmp_path / "none", keys)


def test_without_identity_the_keys_that_ssh_takes_by_itself_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "there is none in ~/.ssh" in why("ann", None, [])
    (tmp_path / ".ssh").mkdir()
    make_key(tmp_path / ".ssh/id_ed25519")
    said = why("ann", None, [])
    assert "ssh-add -l; ~/.ssh/id_ed25519)" in said and said.endswith(ANOTHER)


def test_the_message_says_who_was_not_let_in_where(tmp_path: Path) -> None:
    login = Login("ie", "192.0.2.1", 22, "ann", tmp_path / "known_hosts", tmp_path / "none")
    error = NotLetIn("ie (192.0.2.1, port 22)", login, "ann@192.0.2.1: Permission denied")
    assert str(error).startswith("ie (192.0.2.1, port 22) does not let ann in with the key ")
    assert not error.reached


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (b"Host key verification failed.\r\n", "Host key verification failed."),
        (
            b"kex_exchange_identification: read: Connection reset by peer\r\n"
            b"Connection reset by 192.0.2.1 port 22\r\n",
            "kex_exchange_identification: read: Connection reset by peer;"
            " Connection reset by 192.0.2.1 port 22",
        ),
        (b"@@@@@@@@@@@@@\r\n@ WARNING: x @\r\n@@@@@@@@\r\n\r\n", "@ WARNING: x @"),
        (b"one\rtwo\n\n\xff", "one; two; \ufffd"),
        (b"", ""),
    ],
)
def test_what_ssh_complains_of_is_one_line(stderr: bytes, words: str) -> None:
    assert complaint(stderr) == words
    assert "\r" not in words and "\n" not in words
