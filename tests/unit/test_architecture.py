"""The rooms of the house: imports run downwards only, and what a customer's process loads is lean.

The map is drawn in docs/architecture.md; ``LINES`` below is the same map for the machine.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interpreters import RUNNING, find_interpreter

SRC = Path(__file__).parents[2] / "src"
HOUSE = SRC / "standfast"

# From the roof to the cellar: a module imports from lower lines and from its own room only.
LINES = [
    {"__main__"},
    {"cli"},
    {"demo"},
    {"web", "cluster"},
    {"diagnose", "lab"},
    {"watch"},
    {"store"},
    {"settings"},
    {"errors"},
    {"record"},
    {"journal"},
]
LEVEL = {room: level for level, line in enumerate(LINES) for room in line}

# The public doors show what is in `record` and lie on no line: nobody inside goes through them.
DOORS = {"wsgi", "asgi"}
# What the process of a customer's application loads, and the Pythons it may run on.
LEAN = {"__init__", "record", "journal"} | DOORS
PYTHONS = sorted(
    {"3.9", "3.10", "3.11", "3.12", "3.13", "3.14", RUNNING}, key=lambda v: int(v.split(".")[1])
)
# What the hook meets in the process it is started in, where it exists at all; never installed.
MET = {"sitecustomize", "uwsgi"}
# Standard library of a later Python than the first of PYTHONS.
TOO_YOUNG = {"annotationlib", "compression", "tomllib"}

FILES = sorted(HOUSE.rglob("*.py"))


def parts_of(file: Path) -> list[str]:
    """``["standfast", "journal", "writer"]``; a package's own file keeps its ``__init__``."""
    return list(file.relative_to(SRC).with_suffix("").parts)


def room_of(file: Path) -> str:
    """The package or module right below ``standfast`` that ``file`` belongs to."""
    return parts_of(file)[1]


def imports_of(tree: ast.AST, module: list[str]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of all that is imported anywhere in ``module``.

    ``from a import b`` gives ``a.b``, because ``b`` may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = module[: -node.level] if node.level else []
            if node.module:
                base = [*base, node.module]
            for name in node.names:
                yield node.lineno, ".".join([*base, name.name])


def objection(importer: str, imported: str) -> str | None:
    """Why a file of room ``importer`` may not import the dotted name ``imported``, if so."""
    top, _, rest = imported.partition(".")
    if top != "standfast":
        if importer not in LEAN:
            return None
        if top in MET and importer == "record":
            return None
        if top not in sys.stdlib_module_names:
            return "is not in the standard library"
        return "is not in the standard library of Python 3.9" if top in TOO_YOUNG else None
    room = rest.partition(".")[0]
    if room == importer:
        return None
    if room == "__version__":
        return "is not brought along into the application" if importer in LEAN else None
    if importer in DOORS:
        return None if room == "record" else "is not what this door shows"
    if room in LEVEL and LEVEL.get(importer, len(LINES)) < LEVEL[room]:
        return None
    return "does not lie below"


def objections_to(source: str, module: list[str]) -> list[str]:
    """One line for every import in ``source`` that the map forbids."""
    return [
        f"{'/'.join(module)}.py:{line}: {imported} {reason}"
        for line, imported in imports_of(ast.parse(source), module)
        if (reason := objection(module[1], imported))
    ]


def test_the_house_has_its_foundation_and_every_room_is_on_the_map() -> None:
    rooms = {room_of(file) for file in FILES}
    assert rooms >= LEAN
    assert rooms - set(LEVEL) - LEAN == set(), "put the new room on its line"


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(parts_of(file)[1:]))
def test_imports_run_downwards_only(file: Path) -> None:
    assert objections_to(file.read_text("utf-8"), parts_of(file)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("journal.writer", "from ..record import channel"),
        ("journal.writer", "from .. import errors"),
        ("journal.__init__", "from .. import settings"),
        ("journal.writer", "from .. import __version__"),
        ("journal.writer", "def late():\n    import msgpack"),
        ("journal.writer", "import uwsgi"),
        ("record.wsgi", "import tomllib"),
        ("record.wsgi", "from standfast.errors import StandfastError"),
        ("record.wsgi", "import standfast.store"),
        ("record.wsgi", "import standfast"),
        ("record.wsgi", "from ..wsgi import Recorder"),
        ("record.hook.__init__", "from ...watch import tail"),
        ("wsgi", "from .journal import Writer"),
        ("__init__", "from .record.wsgi import Recorder"),
        ("store.tables", "from ..watch import tail"),
        ("watch.tail", "from standfast.diagnose import suspects"),
        ("diagnose.suspects", "from ..lab import faults"),
        ("web.pages", "from ..cluster import plan"),
        ("web.pages", "from ..demo import shop"),
        ("demo.shop", "from ..cli import main"),
        ("errors", "from .settings import load"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert len(objections_to(source, ["standfast", *module.split(".")])) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("journal.writer", "import mmap\nfrom .format import HEAD\nfrom . import files"),
        (
            "record.hook.__init__",
            "from ...journal.writer import Writer\nfrom ..wsgi import Recorder",
        ),
        ("wsgi", "from .record.wsgi import Recorder"),
        (
            "store.tables",
            "import sqlalchemy\nfrom ..settings import Settings\nfrom .. import errors",
        ),
        ("settings", "from .errors import StandfastError"),
        ("web.pages", "from ..diagnose import verdict\nfrom .. import __version__"),
        ("cli.main", "from ..demo import shop\nfrom ..web import pages"),
        ("__main__", "from .cli.main import main"),
    ],
)
def test_an_allowed_import_is_let_through(module: str, source: str) -> None:
    assert objections_to(source, ["standfast", *module.split(".")]) == []


LEAN_FILES = [file for file in FILES if room_of(file) in LEAN]


@pytest.mark.parametrize("file", LEAN_FILES, ids=lambda file: "/".join(parts_of(file)[1:]))
def test_what_an_application_loads_is_written_in_python_3_9(file: Path) -> None:
    ast.parse(file.read_text("utf-8"), feature_version=(3, 9))


def lean_modules() -> list[str]:
    """Every importable module of ``LEAN``; a file outside any package is no module."""
    return [
        ".".join(part for part in parts_of(file) if part != "__init__")
        for file in LEAN_FILES
        if Path(file.parent, "__init__.py").exists() and file.name != "__main__.py"
    ]


@pytest.mark.parametrize("version", PYTHONS)
def test_an_application_on_any_python_can_load_the_recorder_with_nothing_installed(
    version: str,
) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on PATH or in pyenv")
    modules = lean_modules()
    assert {"standfast.wsgi", "standfast.asgi", "standfast.record", "standfast.journal"} <= set(
        modules
    )
    # -S leaves out site-packages, so that nothing installed can help.
    code = (
        "import importlib, sys; print(*[importlib.import_module(m).__name__ for m in sys.argv[1:]])"
    )
    done = subprocess.run(
        [python, "-S", "-s", "-W", "error", "-c", code, *modules],
        env={"PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == modules
