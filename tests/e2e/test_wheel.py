"""What `make wheel` builds is whole, and installs into an environment that has nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")


def test_the_wheel_has_all_files_and_its_recorder_needs_nothing_else(tmp_path: Path) -> None:
    # The command is the Makefile's own, with another place for what it builds.
    makefile = (ROOT / "Makefile").read_text()
    assert "--no-build-isolation --wheel-dir dist ." in makefile
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), "."]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("standfast-*-py3-none-any.whl")

    tracked = subprocess.run(
        ["git", "ls-files", "src/standfast"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {name.removeprefix("src/") for name in tracked.stdout.splitlines()}
    expected = {name for name in expected if (ROOT / "src" / name).is_file()}
    assert len(expected) > 100
    with zipfile.ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())

    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    install = [*PIP, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python.parent / words[0]), *words[1:]],
            capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        )  # fmt: skip

    assert said("standfast", "--version").stdout.startswith("standfast ")
    code = "import standfast.wsgi, standfast.asgi; print(standfast.wsgi.__file__)"
    assert str(tmp_path / "venv") in said("python", "-c", code).stdout
    # What needs more says so, and how to get it.
    report = said("standfast", "report", "crashes")
    assert report.returncode == 2
    assert "standfast[server]" in report.stderr and "Traceback" not in report.stderr
