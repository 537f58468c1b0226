"""What every command says when it is broken off."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast.cli.cluster import check
from standfast.cli.main import main


def test_ctrl_c_is_said_and_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken_off(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "run", broken_off)
    assert main(["cluster", "check"]) == 130
    assert capsys.readouterr().err == "standfast: interrupted\n"
