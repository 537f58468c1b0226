"""Jobs of systemd, as journalctl writes them down.

Where systemd is not the first process, a stand-in for journalctl gives the lines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.store.evidence import Fact
from standfast.watch.evidence.collector import Death, Living
from standfast.watch.evidence.services import Services, jobs_in, unit_in
from standfast.watch.liveness import Process

SECOND = 1_000_000_000
NOW = time.time_ns()


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/shop.service\n", "shop.service"),
        ("0::/system.slice/shop.service/worker\n", "shop.service"),
        ("0::/system.slice/system-gunicorn.slice/gunicorn@shop.service\n", "gunicorn@shop.service"),
        ("5:cpu:/x.service\n1:name=systemd:/system.slice/shop.service\n", "shop.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/shop.service", "shop.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("4:memory:/other.service\n0::/\n", None),
        ("", None),
        ("\0nonsense::::\n", None),
    ],
)
def test_the_service_of_a_process_is_the_innermost(cgroups: str, unit: str | None) -> None:
    assert unit_in(cgroups) == unit


def entry(message: Any, job: str | None, at_ns: int = NOW, **other: Any) -> bytes:
    fields = {
        "MESSAGE": message,
        "__REALTIME_TIMESTAMP": str(at_ns // 1000),
        "_PID": "1",
        "UNIT": "shop.service",
        "JOB_TYPE": job,
    }
    return json.dumps(fields | other).encode()


def test_jobs_that_end_workers_are_facts_in_systemds_own_words() -> None:
    lines = [
        entry("Stopping The shop...", "stop"),
        entry("Stopping The shop...", "restart"),
        entry("Reloading The shop...", "reload"),
        entry("Started The shop.", "start"),
        entry("shop.service: Consumed 3s CPU time.", None),
    ]
    found = jobs_in(lines, "shop.service")
    assert [(fact.text, fact.data["action"]) for fact in found] == [
        ("Stopping The shop...", "stop"),
        ("Stopping The shop...", "restart"),
        ("Reloading The shop...", "reload"),
    ]
    assert {fact[:3] for fact in found} == {("service", "systemd", NOW // 1000 * 1000)}


@pytest.mark.parametrize(
    ("message", "is_stop"),
    [
        ("shop.service: State 'stop-sigterm' timed out. Killing.", True),
        ("shop.service: Service reached runtime time limit. Stopping.", True),
        ("shop.service: State 'start-pre' timed out. Terminating.", False),
        ("shop.service: Killing process 7 (uvicorn) with signal SIGKILL.", False),
        ("GET /State 'stop-sigterm' timed out.", False),
    ],
)
def test_a_service_that_took_too_long_to_stop_was_stopped(message: str, is_stop: bool) -> None:
    found = jobs_in([entry(message, None)], "shop.service")
    assert [fact.data["action"] for fact in found] == ["stop"] * is_stop


@pytest.mark.parametrize("other", [{"_PID": "4242"}, {"UNIT": "other.service"}, {"_PID": 1}])
def test_what_others_write_is_not_systemds_word(other: dict[str, Any]) -> None:
    assert jobs_in([entry("Stopping The shop...", "stop", **other)], "shop.service") == []


@given(st.lists(st.one_of(st.binary(), st.from_regex(rb'\{"JOB_TYPE":.*'))))
def test_whatever_the_journal_holds_is_read_without_trouble(lines: list[bytes]) -> None:
    assert jobs_in([*lines, b"[" * 100_000], "shop.service") == []


@pytest.mark.parametrize("message", [[83, 116, 255], None, 5, {"a": 1}])
def test_a_message_that_is_no_text_does_no_harm(message: Any) -> None:
    for fact in jobs_in([entry(message, "stop")], "shop.service"):
        assert isinstance(fact.text, str)


class Asked:
    """A collector with a stand-in for journalctl, and one worker of a service."""

    def __init__(self, folder: Path, script: str, *, booted: bool = True) -> None:
        self.arguments = folder / "arguments"
        command = folder / "journalctl"
        command.write_text(f"#!{sys.executable}\nimport sys, time\n{script}\n")
        command.chmod(0o700)
        running = folder / "systemd"
        if booted:
            running.mkdir()
        self.worker = Living(1, Process("host", "boot", 0, 7, 5), 7)
        (folder / "7").mkdir()
        (folder / "7" / "cgroup").write_text("0::/system.slice/shop.service\n")
        self.services = Services(str(command), running, folder)
        self.services.look([self.worker])
        self.death = Death(1, self.worker.process, 7, NOW - SECOND, NOW)

    def until_told(self, timeout_s: float = 10.0) -> list[Fact]:
        give_up = time.monotonic() + timeout_s
        while not (found := self.services.facts(self.death)) and time.monotonic() < give_up:
            time.sleep(0.02)
        return found


def test_the_journal_is_asked_beside_the_watcher(tmp_path: Path) -> None:
    lines = b"\n".join(
        [
            entry("Stopping The shop...", "stop"),
            entry("Stopping of last week", "stop", NOW - 7 * 86400 * SECOND),
            entry("Stopping of tomorrow", "stop", NOW + 86400 * SECOND),
        ]
    )
    script = (
        f"open({str(tmp_path / 'arguments')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"time.sleep(0.3)\nsys.stdout.buffer.write({lines!r})"
    )
    asked = Asked(tmp_path, script)
    before = time.monotonic()
    assert asked.services.facts(asked.death) == []
    assert time.monotonic() - before < 0.3, "nobody waits for journalctl"
    (fact,) = asked.until_told()
    assert fact.text == "Stopping The shop..."
    words = asked.arguments.read_text().split()
    assert words[:3] == ["--output=json", "--no-pager", "--quiet"]
    assert words[-2:] == ["_PID=1", "UNIT=shop.service"]
    assert words[3] == f"--since=@{(NOW - SECOND) // SECOND - 120}"
    asked.services.forget(asked.death)
    assert asked.services.facts(asked.death) == []
    asked.services.close()


def test_a_journalctl_that_hangs_is_ended(tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'arguments')!r}, 'w').write(str(__import__('os').getpid()))\n"
    asked = Asked(tmp_path, script + "time.sleep(60)")
    asked.services.facts(asked.death)
    give_up = time.monotonic() + 10
    while not (asked.arguments.exists() and asked.arguments.read_text()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    asked.services.close()
    assert not Path(f"/proc/{asked.arguments.read_text()}").exists()


@pytest.mark.parametrize("trouble", ["not booted", "no journalctl", "it fails", "nonsense"])
def test_where_there_is_no_systemd_nothing_is_said(tmp_path: Path, trouble: str) -> None:
    script = {"it fails": "sys.exit(1)", "nonsense": "print('{' * 9999)"}.get(trouble, "")
    asked = Asked(tmp_path, script, booted=trouble != "not booted")
    if trouble == "no journalctl":
        (tmp_path / "journalctl").unlink()
    assert asked.until_told(0.5) == []
    asked.services.close()


@pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir() or os.getuid() != 0,
    reason="systemd does not run here, or this is not root",
)
def test_a_real_service_that_is_stopped_says_so() -> None:
    import subprocess

    unit = f"standfast-test-{os.getpid()}.service"
    subprocess.run(["systemd-run", f"--unit={unit}", "sleep", "60"], check=True, timeout=30)
    shown = subprocess.run(
        ["systemctl", "show", "-P", "MainPID", unit], capture_output=True, check=True, timeout=30
    )
    pid = int(shown.stdout)
    services = Services()
    worker = Living(1, Process("host", "boot", 0, pid, 5), pid)
    services.look([worker])
    subprocess.run(["systemctl", "stop", unit], check=True, timeout=30)
    now = time.time_ns()
    death = Death(1, worker.process, pid, now - SECOND, now)
    give_up = time.monotonic() + 10
    while not (found := services.facts(death)) and time.monotonic() < give_up:
        time.sleep(0.1)
    services.close()
    assert found[0].data == {"action": "stop", "unit": unit}
