"""What a server is asked of its units, with a systemctl that says what one does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from standfast.cluster.status.observation import script


@pytest.mark.parametrize(
    ("active", "enabled", "said"),
    [
        ("active", "enabled", "active"),
        ("active", "masked", "masked"),
        ("inactive", "masked", "masked"),
        ("failed", "enabled", "failed"),
    ],
)
def test_a_unit_that_is_masked_is_said_to_be_also_where_it_still_runs(
    tmp_path: Path, active: str, enabled: str, said: str
) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text(f"#!/bin/sh\ntest $1 = is-active && echo {active} || echo {enabled}\n")
    fake.chmod(0o755)
    there = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", script(("named",))], env=there, input="", capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert f"service named {said}\n" in done.stdout
