"""Whatever the surroundings are, a command ends with words and a status, and never hangs.

Every command meets every fault, in this process where that is possible.
"""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast.cli.main import main
from tests.unit.store.people_store import new_store

#: Each ends by itself, and needs nothing but a store and a folder.
COMMANDS = (
    "report crashes", "report slow", "report errors", "report inflight", "report suspects",
    "report verdict", "report incident 1", "report crashes --json", "watch --once", "doctor",
    "doctor --json", "user list", "user list --json", "user remove nobody", "serve --for 0.1 -x",
    "run -- no-such-command", "forget --client 192.0.2.1", "cluster check", "cluster plan",
    "cluster status", "lab status", "", "no-such-command", "--version", "report --help",
)  # fmt: skip
#: Those that read standfast.toml.
WITH_SETTINGS = tuple(one for one in COMMANDS[:13] if one != "report incident 1") + (
    "user remove nobody", "serve --bind 127.0.0.1:0", "run -- true", "forget --client 192.0.2.1",
)  # fmt: skip

pytestmark = pytest.mark.timeout(60)


def ended(words: str) -> int:
    """The exit status of a command, which nothing but words may come with."""
    try:
        return main(words.split())
    except SystemExit as usage:  # of argparse
        return int(usage.code or 0)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STANDFAST_"):
            monkeypatch.delenv(name)
    (tmp_path / "journal").mkdir()
    new_store(tmp_path).dispose()
    monkeypatch.setenv("STANDFAST_JOURNAL", str(tmp_path / "journal"))
    yield tmp_path
    signal.signal(signal.SIGTERM, before)  # `watch` sets one of its own


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_streams_end_no_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ended(command)
    for streams in (("stdout",), ("stderr",), ("stdin", "stdout", "stderr")):
        with monkeypatch.context() as patch:
            for name in streams:
                patch.setattr(sys, name, None)
            assert ended(command) == expected


def test_a_stream_that_is_closed_indeed_is_no_traceback(place: Path) -> None:
    command = f'exec "{sys.executable}" -m standfast report crashes >&- 2>errors'
    done = subprocess.run(["bash", "-c", command], cwd=place, timeout=60, check=False)
    assert (done.returncode, (place / "errors").read_text()) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_output_without_room_is_told(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ended(command)
    wrote = bool(capsys.readouterr().out)
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        status = ended(command)
    told = capsys.readouterr().err
    if wrote:
        assert (status, told) == (1, "standfast: No space left on device\n")
    else:
        assert status == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ended(command)
    monkeypatch.setenv("STANDFAST_STORE", str(place / "st\u00f6re-\u8336.db"))
    for encoding in ("ascii", "latin-1", "utf-8"):
        with monkeypatch.context() as patch:
            for name in ("stdout", "stderr"):
                wrapper = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
                patch.setattr(sys, name, wrapper)
            assert ended(command) in (expected, 1)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


FILES: dict[str, Callable[[Path], object]] = {
    "a FIFO": _fifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "a loop": lambda path: path.symlink_to(path.name),
    "no UTF-8": lambda path: path.write_bytes(b"app = '\xff'"),
    "NUL": lambda path: path.write_bytes(b"app = 'a\0b'"),
    "NUL in a path": lambda path: path.write_text('journal = "a\\u0000b"'),
    "NUL in the store": lambda path: path.write_text('store = "sqlite:///a\\u0000b"'),
    "NUL in a list": lambda path: path.write_text('server_logs = ["a\\u0000b"]'),
    "nothing in a path": lambda path: path.write_text('journal = ""'),
    "a control character": lambda path: path.write_text('app = "a\\u001b[2J"'),
    "too deep": lambda path: path.write_text("a = " + "[" * 100_000),
    "too large": lambda path: path.write_text("#" * 2_000_000),
}


@pytest.mark.parametrize("fault", FILES)
def test_whatever_lies_in_the_place_of_the_settings_is_named(
    fault: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FILES[fault](place / "standfast.toml")
    for command in WITH_SETTINGS:
        assert ended(command) == 2, command
        assert "standfast.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "store",
    ["", ":memory:", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true",
     "mysql+nothing://x", "store-\udcff.db", "sqlite:///a\0b", "://", "postgresql://[",
     "no/such/folder/store.db"],
)  # fmt: skip
def test_a_store_that_is_none_is_named(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("report crashes", "user list", "serve --bind 127.0.0.1:0 --for 5"):
        words = [*command.split(), "--store", store]
        assert main(words) in (1, 2)
        told = capsys.readouterr()
        assert "store" in told.err and not told.out


@pytest.mark.parametrize("name", ["app", "journal", "store", "config"])
def test_an_empty_flag_is_wrong_use(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("report crashes", "report inflight"):
        assert main([*command.split(), f"--{name}", ""]) in (0, 1, 2)
    if name != "config":
        assert f"--{name} ''" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a folder", "a device", "a loop"])
def test_whatever_lies_in_the_place_of_the_store_is_named(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FILES[kind](place / "other.db")
    for command in ("report crashes", "user list", "watch --once", "forget --client 192.0.2.1"):
        assert main([*command.split(), "--store", str(place / "other.db")]) == 1
        assert "other.db" in capsys.readouterr().err


def test_a_folder_that_is_gone_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = place / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in WITH_SETTINGS:
        assert ended(command) == 2, command
        assert "current folder" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["0", "-1", "1", "x", "100000000000", ""])
def test_no_width_of_a_terminal_ends_a_command(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [ended(command) for command in COMMANDS[:8]]
    monkeypatch.setenv("COLUMNS", columns)
    assert [ended(command) for command in COMMANDS[:8]] == expected
