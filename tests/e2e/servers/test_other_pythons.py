"""The application lives in another environment and another Python, with nothing of ours in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import standfast
from tests.e2e.servers.serving import APPS, BIN, Server, environment, serving, standfast_run
from tests.interpreters import RUNNING, find_interpreter
from tests.recorded import Recorded, all_closed, read, read_until

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
TOO_OLD = ("2.7", "3.6", "3.7", "3.8")
OURS = ("standfast.journal", "standfast.record", "standfast.wsgi", "standfast.asgi")
NOT_BROUGHT = ("standfast.watch", "standfast.cli", "standfast.store", "standfast.errors")
THIRD_PARTY = ("sqlalchemy", "flask", "uvicorn")

#: Serves one request with the standard library of any Python, even of Python 2.
OLD_SERVER = """
import sys
from wsgiref.simple_server import make_server
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"old"]
server = make_server("127.0.0.1", int(sys.argv[1]), app)
server.handle_request()
server.handle_request()
"""


def interpreter(version: str) -> Path:
    """Skips where it is not there, under CI too: no package of the system brings all of them."""
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    return python


class Environment(NamedTuple):
    """A fresh virtual environment without pip."""

    folder: Path
    python: Path
    site_packages: Path


def make_environment(version: str, folder: Path) -> Environment:
    python = interpreter(version)
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    site_packages = folder / "lib" / f"python{version}" / "site-packages"
    assert list(site_packages.iterdir()) == []
    return Environment(folder, folder / "bin" / "python", site_packages)


class Stay(NamedTuple):
    """What an application said of itself, without Standfast and with it, and what was recorded."""

    version: str
    environment: Environment
    bare: dict[str, Any]
    facts: dict[str, Any]
    user_path: list[str]
    recorded: Recorded


@pytest.fixture(scope="module", params=PYTHONS)
def stay(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stay]:
    folder = tmp_path_factory.mktemp("environment")
    environment = make_environment(request.param, folder / "venv")
    own = "import os\nos.environ['SHOP_SITE'] = 'ran'\n"
    (environment.site_packages / "sitecustomize.py").write_text(own)
    user_path = [str(folder / "first"), str(folder / "second")]
    variables = {"PYTHONPATH": os.pathsep.join(user_path)}
    command = (environment.python, "call_wsgiref.py", "{port}")

    def about(server: Server) -> Any:
        status, body = server.get("/about?" + ",".join((*OURS, *NOT_BROUGHT, *THIRD_PARTY)))
        assert status == 200
        return json.loads(body)

    with serving(*command, variables=variables, recorded=False) as server:
        bare = about(server)
    with serving(*command, variables=variables) as server:
        facts = about(server)
        server.get("/boom")
        read_until(server.journal, all_closed)
        server.get("/segv")
        recorded = read(server.journal)
    yield Stay(request.param, environment, bare, facts, user_path, recorded)


def test_the_application_runs_in_its_own_python(stay: Stay) -> None:
    assert stay.facts["version"] == stay.version
    assert stay.facts["prefix"] == str(stay.environment.folder)


def test_requests_errors_and_crashes_are_recorded_there(stay: Stay) -> None:
    about, boom, segv = stay.recorded.requests
    assert (about.begin.uri.partition("?")[0], about.end.status) == ("/about", 200)
    assert boom.end.error.endswith("\nValueError: boom in the shop\n")
    assert (segv.begin.uri, segv.ends) == ("/segv", [])
    assert " in segv\n" in stay.recorded.faults[segv.worker.pid]


def test_recorder_and_journal_are_brought_along_and_nothing_else(stay: Stay) -> None:
    assert {name for name, able in stay.bare["able"].items() if able} == set()
    assert {name for name, able in stay.facts["able"].items() if able} == set(OURS)


def test_the_search_path_is_what_it_is_without_us(stay: Stay) -> None:
    assert stay.facts["path"] == stay.bare["path"]
    assert stay.facts["path"][:3] == [str(APPS), *stay.user_path]
    ours = Path(standfast.__file__).parents[1]
    assert [entry for entry in stay.facts["path"] if Path(entry).is_relative_to(ours)] == []


def test_the_sitecustomize_of_the_environment_still_runs(stay: Stay) -> None:
    assert stay.facts["marks"] == stay.bare["marks"] == {"SHOP_SITE": "ran"}


def output(command: list[str | Path] | list[str], folder: Path) -> tuple[int, str, str]:
    """Exit status, output and errors of a command that ends by itself."""
    done = subprocess.run(
        command,
        env=environment({"HOME": str(folder)}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("version", ["3.9", RUNNING])
@pytest.mark.parametrize(
    "own",
    [
        "print('the own one runs')",
        "import no_such_module",
        "raise ImportError('of something else')",
        "raise ValueError('broken')",
        None,
    ],
)
def test_a_sitecustomize_of_any_kind_has_the_effect_that_it_has_without_us(
    version: str, own: str | None, tmp_path: Path
) -> None:
    environment = make_environment(version, tmp_path / "venv")
    if own:
        (environment.site_packages / "sitecustomize.py").write_text(own)
    command: list[str | Path] = [environment.python, "-c", "print('the program runs')"]
    bare = output(command, tmp_path)
    assert "the program runs\n" in bare[1]
    assert output(standfast_run(tmp_path / "journal", command), tmp_path) == bare


@pytest.mark.parametrize("version", TOO_OLD)
def test_a_python_that_is_too_old_starts_unharmed_and_unrecorded(version: str) -> None:
    with serving(interpreter(version), "-c", OLD_SERVER, "{port}") as server:
        assert server.get("/") == (200, b"old")
        assert server.process.wait(30) == 0
        assert read(server.journal) == ([], [], {})
        log = server.log.read_text().splitlines()
    assert [line for line in log if '"GET / HTTP/1.1" 200' not in line] == []


@pytest.mark.parametrize("version", TOO_OLD)
def test_the_sitecustomize_of_a_python_that_is_too_old_still_runs(
    version: str, tmp_path: Path
) -> None:
    # standfast itself is started with that PYTHONPATH too, and is one of the Pythons that it meets.
    own = "import sys; print('the own one runs in %d.%d' % sys.version_info[:2])"
    (tmp_path / "sitecustomize.py").write_text(own)
    program = "import sys; print('PYTHONPATH ' + sys.path[1])"
    command: list[str | Path] = [interpreter(version), "-c", program]
    words = ["env", f"PYTHONPATH={tmp_path}", *standfast_run(tmp_path / "journal", command)]
    status, said, errors = output(words, tmp_path)
    assert (status, errors) == (0, "")
    wanted = [f"the own one runs in {version}", f"PYTHONPATH {tmp_path}"]
    assert said.splitlines() == [f"the own one runs in {RUNNING}", *wanted]


def test_the_installation_of_standfast_itself_is_not_needed_by_the_application() -> None:
    """The counter-proof: with our environment's own Python those imports do work."""
    done = subprocess.run(
        [BIN / "python", "-c", "import " + ", ".join((*OURS, *NOT_BROUGHT, *THIRD_PARTY))],
        env=environment(),
        timeout=60,
    )
    assert done.returncode == 0
