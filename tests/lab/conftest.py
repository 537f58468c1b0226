"""Three servers, booted once for all tests of this folder and made new between those that ask."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from standfast.lab import Lab, LabPlan, LabServer
from standfast.lab.commands import missing

#: Two checkouts on one machine are two labs, which do not know of each other; so are two runs of
#: one checkout with a name of their own each in STANDFAST_TEST_LAB.
_CHECKOUT = zlib.crc32(f"{__file__}{os.environ.get('STANDFAST_TEST_LAB', '')}".encode())
SITE = f"tests-{_CHECKOUT:08x}"
NETWORK = f"10.{64 + _CHECKOUT % 64}.{_CHECKOUT // 64 % 256}"
SERVERS = (
    LabServer("one", f"{NETWORK}.11"),
    LabServer("two", f"{NETWORK}.12"),
    LabServer("three", f"{NETWORK}.13"),
)


@dataclass(frozen=True)
class Admin:
    """Who administers the servers, from this machine; ``key`` is the file of the private key."""

    key: Path

    def ssh(
        self, address: str, command: str, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on a server as an admin does."""
        options = {
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self.key.parent / "known_hosts"),
            "ConnectTimeout": "3",
            "LogLevel": "ERROR",
        }
        words = ["ssh", "-i", str(self.key)]
        words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        words += [f"{user}@{address}", command]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="package")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Admin:
    """An admin with a key pair."""
    key = tmp_path_factory.mktemp("admin") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return Admin(key)


@pytest.fixture(scope="package")
def lab(admin: Admin) -> Iterator[Lab]:
    """Three booted servers, or the reason why there are none."""
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI") and "installed" in lacking:
            pytest.fail(lacking)
        pytest.skip(lacking)
    key = admin.key.with_suffix(".pub").read_text().strip()
    found = Lab(LabPlan(SITE, SERVERS, (key,)))
    found.down()  # what a run that was killed has left
    found.up()
    yield found
    found.down()
