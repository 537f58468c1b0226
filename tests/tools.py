"""Programs that some tests need: where one is missing they are skipped, and fail under CI."""

from __future__ import annotations

import os
import shutil

import pytest

#: Where administrators' programs lie, of which an ordinary user's PATH knows nothing.
_PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"


def need(*programs: str) -> None:
    """Skips the test where a program is missing; fails it where CI is said."""
    missing = [program for program in programs if shutil.which(program, path=_PATH) is None]
    if missing:
        words = f"no {', '.join(missing)} on this machine; on Debian: sudo make system"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
