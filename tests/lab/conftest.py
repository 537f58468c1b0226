"""Three servers, booted once for all tests of this folder and made new between those that ask;
and three more that are one site, set up once through the real command line."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from standfast.cluster.inventory import Site, load_site
from standfast.cluster.provision import EVERY_SITE
from standfast.lab import Lab, LabPlan, LabServer
from standfast.lab.commands import missing
from standfast.lab.plan import inner_address6

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
#: The servers of the site that is set up, each with an SSH port of its own; the first is master.
SITE_NETWORK = f"172.{24 + _CHECKOUT % 8}.{_CHECKOUT // 64 % 256}"
SITE_SERVERS = (
    LabServer("ie", f"{SITE_NETWORK}.11", 2201),
    LabServer("nl", f"{SITE_NETWORK}.12", 2202),
    LabServer("us", f"{SITE_NETWORK}.13", 2203),
)
_CLUSTER = (sys.executable, "-m", "standfast", "cluster")


@dataclass(frozen=True)
class Admin:
    """Who administers the servers, from this machine; ``key`` is the file of the private key."""

    key: Path

    @property
    def public_key(self) -> str:
        """The public half of the key, as one line."""
        return self.key.with_suffix(".pub").read_text().strip()

    def ssh(
        self, address: str, command: str, user: str = "root", port: int = 22
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
        words = ["ssh", "-i", str(self.key), "-p", str(port)]
        words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        words += [f"{user}@{address}", command]
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A whole site takes minutes to set up, which counts for the first test that needs it: so those
    that need none come first, and it is set up meanwhile."""
    here = [at for at, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ours = sorted((items[at] for at in here), key=_needs_site)
    for at, item in zip(here, ours, strict=True):
        items[at] = item
        if _needs_site(item):
            item.add_marker(pytest.mark.timeout(900))


def _needs_site(item: pytest.Item) -> bool:
    return "site_up" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="package")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Admin:
    """An admin with a key pair."""
    key = tmp_path_factory.mktemp("admin") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return Admin(key)


@pytest.fixture(scope="package")
def lab(admin: Admin) -> Iterator[Lab]:
    """Three booted servers, or the reason why there are none."""
    yield from _booted(LabPlan(SITE, SERVERS, (admin.public_key,), EVERY_SITE))


@pytest.fixture(scope="package")
def site_lab(admin: Admin) -> Iterator[Lab]:
    """Three more, on which a site is set up; the tests of ``lab`` know nothing of them."""
    yield from _booted(LabPlan(f"{SITE}-site", SITE_SERVERS, (admin.public_key,), EVERY_SITE))


def _booted(plan: LabPlan) -> Iterator[Lab]:
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI") and "installed" in lacking:
            pytest.fail(lacking)
        pytest.skip(lacking)
    found = Lab(plan)
    found.down()  # what a run that was killed has left
    found.up()
    yield found
    found.down()


class Begun(NamedTuple):
    """A site that is being set up as an admin does it, from ``file``, by ``cluster apply``."""

    file: Path
    applying: subprocess.Popen[bytes]
    log: Path


@pytest.fixture(scope="package", autouse=True)
def site_begun(
    request: pytest.FixtureRequest, admin: Admin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Begun | None]:
    """Setting up a site takes minutes, and goes on beside the tests of the other servers; None
    where no test asks for it."""
    if not any("site_up" in getattr(one, "fixturenames", ()) for one in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("site")
    file, log = folder / "site.toml", folder / "apply.log"
    file.write_text(site_toml(request.getfixturevalue("site_lab"), admin))
    with log.open("wb") as output:
        applying = subprocess.Popen(
            [*_CLUSTER, "apply", "--yes", "--file", str(file)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    yield Begun(file, applying, log)
    applying.kill()
    applying.wait()


@pytest.fixture(scope="package")
def site_up(site_begun: Begun) -> Site:
    """The site, once it is set up."""
    assert site_begun.applying.wait(800) == 0, site_begun.log.read_text()
    return load_site(site_begun.file)


def cluster(file: Path, *words: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs ``standfast cluster`` as an admin does."""
    return subprocess.run(
        [*_CLUSTER, *words, "--file", str(file)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip


def site_toml(lab: Lab, admin: Admin) -> str:
    """A site of the servers of a lab, which this machine administers by IPv4 and IPv6."""
    gateway = lab.plan.gateway
    servers = "".join(
        f"""
[[servers]]
name = "{server.name}"
address = "{server.address}"
location = "{location}"
ssh_port = {server.ssh_port}
"""
        for server, location in zip(lab.plan.servers, ("Dublin", "Utrecht", "Austin"), strict=True)
    )
    return f"""\
name = "shop"
domain = "example.org"
master = "{lab.plan.servers[0].name}"
identity = "{admin.key}"

[[admins]]
name = "ann"
keys = ["{admin.public_key}"]
addresses = ["{gateway}/32", "{inner_address6(gateway)}/128"]
{servers}"""
