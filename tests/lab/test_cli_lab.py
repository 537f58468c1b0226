"""``standfast lab`` as its user types it, from a file that ``cluster init`` wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.cluster.inventory import load_site
from standfast.lab import Lab, LabPlan, LabServer
from tests.lab.conftest import NETWORK, SITE

pytestmark = pytest.mark.lab
_NETWORK = ".".join([*NETWORK.split(".")[:1], str(int(NETWORK.split(".")[1]) ^ 64), "77"])


def standfast(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs one command in the folder of the site."""
    return subprocess.run(
        [sys.executable, "-m", "standfast", *words], cwd=folder,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """A folder with a site.toml of two servers, in a network of its own; ``lab`` says that this
    machine can be one."""
    assert standfast(tmp_path, "cluster", "init").returncode == 0
    file = tmp_path / "site.toml"
    text = file.read_text().replace("10.88.0", _NETWORK)
    text = text.replace('name = "shop"  ', f'name = "{SITE}-cli"  ', 1)
    before, us, after = text.partition('[[servers]]\nname = "us"')
    file.write_text(before + after[after.index("[database]") :])
    assert us
    assert len(load_site(file).servers) == 2
    yield tmp_path
    done = standfast(tmp_path, "lab", "down")
    assert done.returncode == 0, done.stderr
    assert nothing_is_left(file)


def nothing_is_left(file: Path) -> bool:
    site = load_site(file)
    plan = LabPlan(site.name, tuple(LabServer(s.name, str(s.address)) for s in site.servers))
    spaces = subprocess.check_output(["ip", "netns", "list"], text=True)
    mounts = Path("/proc/mounts").read_text()
    return not plan.folder.exists() and plan.bridge not in spaces and plan.site not in mounts


def test_servers_come_are_cut_off_killed_and_go(folder: Path) -> None:
    up = standfast(folder, "lab", "up")
    assert up.returncode == 0, up.stderr
    assert [line.split()[0] for line in up.stdout.splitlines()] == ["ie", "nl", "this"]
    assert up.stdout.count("answers") == 2
    # As the page on the lab says: nobody waits for this machine's disk.
    mounts = Path("/proc/mounts").read_text().splitlines()
    assert sum(f"{SITE}-cli" in line and "volatile" in line for line in mounts) == 2
    assert "ie boots at" in up.stderr

    again = standfast(folder, "lab", "up")
    assert (again.returncode, again.stdout, again.stderr) == (0, up.stdout, "")

    shell = standfast(folder, "lab", "shell", "nl", "--", "bash", "-c", "hostname; pwd; exit 7")
    assert (shell.returncode, shell.stdout, shell.stderr) == (7, "nl\n/root\n", "")

    reach = ("lab", "shell", "ie", "--", "bash", "-c", f": </dev/tcp/{_NETWORK}.12/22")
    assert standfast(folder, *reach).returncode == 0
    # By the IPv6 address that is shown, too.
    address6 = next(line.split()[2] for line in up.stdout.splitlines() if line.startswith("nl "))
    reach6 = (*reach[:-1], f": </dev/tcp/{address6}/22")
    assert standfast(folder, *reach6).returncode == 0
    assert standfast(folder, "lab", "cut", "ie", "nl").returncode == 0
    assert "Nothing passes between ie and nl." in standfast(folder, "lab", "status").stdout
    assert standfast(folder, *reach[:-1], f"timeout 1 bash -c '{reach[-1]}'").returncode != 0
    assert standfast(folder, "lab", "join", "nl", "ie").returncode == 0
    assert standfast(folder, *reach).returncode == 0

    standfast(folder, "lab", "shell", "ie", "--", "touch", "/kept")
    assert standfast(folder, "lab", "kill", "ie").returncode == 0
    gone = standfast(folder, "lab", "shell", "ie", "--", "true")
    assert gone.returncode == 1
    assert "ie is not running: standfast lab start" in gone.stderr
    assert standfast(folder, "lab", "start", "ie").returncode == 0
    assert standfast(folder, "lab", "shell", "ie", "--", "test", "-e", "/kept").returncode == 0

    wrong = standfast(folder, "lab", "kill", "li")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "standfast: there is no server 'li' in this lab; there are ie, nl\n",
    )
    twice = standfast(folder, "lab", "start", "ie")
    assert (twice.returncode, twice.stderr) == (1, "standfast: ie is running already\n")


def test_a_site_of_another_labs_addresses_is_refused_by_its_name(lab: Lab, tmp_path: Path) -> None:
    assert standfast(tmp_path, "cluster", "init").returncode == 0
    file = tmp_path / "site.toml"
    file.write_text(file.read_text().replace("10.88.0", NETWORK))
    up = standfast(tmp_path, "lab", "up")
    assert up.returncode == 1
    assert f"that of the lab {lab.plan.site}, which is up" in up.stderr
    assert "Nothing was done" in up.stderr


def test_down_takes_away_what_an_up_that_was_killed_has_left(folder: Path) -> None:
    words = [sys.executable, "-m", "standfast", "lab", "up"]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        assert "ie boots at" in up.stderr.readline()
        time.sleep(0.2)
        os.kill(up.pid, signal.SIGKILL)
    # The fixture asks for it.


def test_without_root_it_says_what_is_needed() -> None:
    code = (
        "from standfast.lab.commands import missing; import os; os.setuid(65534); print(missing())"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said == "A lab needs root, for namespaces, mounts and bridges: run it with sudo.\n"
