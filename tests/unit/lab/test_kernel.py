"""The kernel's settings that labs need."""

from __future__ import annotations

from pathlib import Path

import pytest

from standfast.lab import kernel


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    low, high = tmp_path / "max_user_instances", tmp_path / "ip_forward"
    low.write_text("128\n")
    high.write_text("1\n")
    (tmp_path / "labs").mkdir()
    monkeypatch.setattr(kernel, "LABS", tmp_path / "labs")
    monkeypatch.setattr(kernel, "_SETTINGS", {low: 2048, high: 1})
    return low, high


def test_what_is_lower_than_a_lab_needs_is_raised_and_put_back(settings: tuple[Path, Path]) -> None:
    low, high = settings
    for _ in range(2):  # the second lab finds what the first has raised
        kernel.set_up()
        assert (low.read_text(), high.read_text()) == ("2048\n", "1\n")
    kernel.put_back()
    assert (low.read_text(), high.read_text()) == ("128\n", "1\n")
    assert list(low.parent.glob("labs/*")) == []


def test_what_somebody_else_has_raised_stays(settings: tuple[Path, Path]) -> None:
    low, _ = settings
    low.write_text("8192\n")
    kernel.set_up()
    kernel.put_back()
    assert low.read_text() == "8192\n"
