"""The demo as a newcomer runs it: a real shop, a real crash, a real report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

STANDFAST = (sys.executable, "-m", "standfast")


def _run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environ = dict(os.environ, COLUMNS="80")
    return subprocess.run(
        [*STANDFAST, *arguments], capture_output=True, text=True, timeout=timeout, env=environ
    )


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[str, list[str]]]:
    """What the demo printed, and the flags that lead to what it left behind."""
    done = _run("demo", "--seconds", "10", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    places = re.search(r"(--journal) (\S+) \\\n\s+(--store) (\S+)", done.stdout)
    left = re.search(r"kill (\d+)$", done.stdout)
    assert places is not None and left is not None
    yield done.stdout, list(places.groups())
    os.kill(int(left[1]), signal.SIGTERM)


def test_the_demo_leaves_the_dashboard_running_and_the_password_on_screen(
    demo: tuple[str, list[str]],
) -> None:
    found = re.search(r"(http://127\.0\.0\.1:\d+)/   name: (\S+)   password: (\S+)", demo[0])
    assert found is not None
    address, name, password = found.groups()
    with httpx.Client(base_url=address, follow_redirects=True) as client:
        form = client.get("/signin").text
        seal = re.search(r'name="seal" value="([^"]+)"', form)
        assert seal is not None
        sent = {"name": name, "password": password, "seal": seal[1], "next": "/"}
        page = client.post("/signin", data=sent)
    assert page.status_code == 200
    assert "GET /label/{int}" in page.text


def test_the_commands_that_the_demo_names_run_as_they_are_written(
    demo: tuple[str, list[str]],
) -> None:
    named = demo[0].partition("Try next")[2].replace("\\\n", " ").splitlines()[1:4]
    assert len(named) == 3
    for command in (named[0], named[2]):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) in ((0, ""), (1, "")), command


def test_for_scripts_the_demo_leaves_nothing_running() -> None:
    done = _run("demo", "--seconds", "2", "--no-serve")
    # In two seconds a worker may die or not.
    assert done.returncode in (0, 1), done.stderr
    assert "password" not in done.stdout


def _report(places: list[str], *arguments: str) -> Any:
    return json.loads(_run("report", *arguments, "--json", *places).stdout)


def test_the_demo_names_the_request_that_was_in_flight_when_workers_died(
    demo: tuple[str, list[str]],
) -> None:
    printed, _ = demo
    assert "SIGSEGV" in printed
    assert re.search(r"GET /label/\{int\} was in flight in (all \d+|1) of them", printed)
    assert max(len(line) for line in printed.splitlines() if "--journal" not in line) <= 80


def test_every_crash_has_the_request_that_overran_its_label(demo: tuple[str, list[str]]) -> None:
    crashes = _report(demo[1], "crashes")
    assert crashes
    for crash in crashes:
        assert crash["signal"] == "SIGSEGV"
        labels = [one["uri"] for one in crash["requests"] if "/label/" in one["uri"]]
        assert any("Wolfe" in uri or "Honourable" in uri for uri in labels)
        assert {"incident", "app", "host", "worker_pid", "died_at", "exit_code"} <= set(crash)


def test_the_workers_that_died_did_not_stay_and_neither_did_the_shop(
    demo: tuple[str, list[str]],
) -> None:
    folder = str(Path(demo[1][1]).parent)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "environ").read_bytes()
            except OSError:
                continue
            assert folder.encode() not in command, entry


def test_a_report_on_a_route_and_a_limit_give_only_those(demo: tuple[str, list[str]]) -> None:
    places = demo[1]
    assert len(_report(places, "crashes", "--limit", "1")) == 1
    assert _report(places, "crashes", "--route", "/nowhere") == []
    assert _report(places, "crashes", "--app", "another") == []
    newest_first = [crash["died_at"] for crash in _report(places, "crashes")]
    assert newest_first == sorted(newest_first, reverse=True)


def test_the_slow_page_of_the_shop_is_reported_as_slow(demo: tuple[str, list[str]]) -> None:
    for one in _report(demo[1], "slow"):
        assert one["duration_s"] >= 1.0
        assert one["route"] == "/report"


def test_nothing_is_in_flight_when_the_shop_is_closed(demo: tuple[str, list[str]]) -> None:
    assert _report(demo[1], "inflight") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "crashes", "--since", "soon"), "--since"),
        (("report", "crashes", "--limit", "0"), "--limit"),
        (("report",), "what"),
        (("run",), "standfast run -- gunicorn"),
        (("run", "--", "no-such-command"), "no-such-command"),
        (("demo", "--seconds", "0"), "--seconds"),
    ],
)
def test_wrong_use_ends_with_status_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], words: str
) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_without_a_store_says_what_makes_one(tmp_path: Path) -> None:
    done = _run("report", "crashes", "--store", str(tmp_path / "none.db"))
    assert done.returncode == 1
    assert "standfast watch" in done.stderr
    assert "Traceback" not in done.stderr


def test_whomever_counting_blames_the_ranking_names_the_culprit(
    demo: tuple[str, list[str]],
) -> None:
    printed, places = demo
    # On a quiet machine it is /search, which waits for long; on a busy one all requests are slow.
    assert re.search(r"Counting, /\S+ comes first: \d+ of \d+ unfinished requests", printed)
    suspects = _report(places, "suspects")
    assert suspects[0]["trait"] == "/label/{int}"
    verdicts = {one["verdict"]["cause"] for one in _report(places, "crashes")}
    assert verdicts == {"app_crash"}
