"""``standfast``: finds the command, runs it, and turns errors into words and exit statuses.

0 is fine, 1 something found or failed, 2 wrong use.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from standfast import __version__
from standfast.errors import StandfastError, UsageError

#: The commands, in the order in which the help shows them; each is a module of this package.
COMMANDS = ("demo", "run", "watch", "report", "serve", "user", "forget", "doctor", "cluster", "lab")
_EXTRAS = {
    "sqlalchemy": "server",
    "alembic": "server",
    "rich": "server",
    "argon2": "server",
    "starlette": "server",
    "uvicorn": "server",
    "numpy": "server",
    "pydantic": "cluster",
    "pyinfra": "cluster",
    "cryptography": "cluster",
    "flask": "demo",
}
#: Where README.md shows how to install each.
_SHOWN = {
    "server": "On your own application",
    "cluster": "One site on several servers",
    "demo": "Try it",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status."""
    _prepare_output()
    try:
        return _run(argv)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(
            f"this command needs more than the recorder: install standfast[{extra}], as README.md"
            f" shows under '{_SHOWN[extra]}'",
            2,
        )
    except UsageError as error:
        return _complain(str(error), 2)
    except StandfastError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_output()
        return 1
    except OSError as error:
        # What no command expects: a full disk behind standard output, a folder that is gone.
        _drop_output()
        what = f"{error.filename}: " if error.filename else ""
        return _complain(f"{what}{error.strerror or error}", 1)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        module = importlib.import_module(f"standfast.cli.{arguments.command_name}")
        status: int = module.run(arguments)
    finally:
        sys.stdout.flush()
    return status


def _prepare_output() -> None:
    """Has output go somewhere, whatever was closed and whatever its encoding is.

    A stream that was closed leads to nothing. Its descriptor is not given to a command that
    `run` becomes, which finds it closed as it was.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - for good
            setattr(sys, name, nowhere)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What was not written yet is given up, so that nothing complains of it at exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="standfast",
        description="Finds the request that brings a web application down.",
        epilog="`standfast COMMAND --help` says more of a command.",
    )
    parser.add_argument("--version", action="version", version=f"standfast {__version__}")
    subparsers = parser.add_subparsers(
        dest="command_name", metavar="COMMAND", title="commands", required=True
    )
    for name in COMMANDS:
        importlib.import_module(f"standfast.cli.{name}").add(subparsers)
    return parser


def _complain(words: str, status: int) -> int:
    from standfast.cli.tables import print_whole

    with suppress(OSError):
        print_whole(f"standfast: {words}", out=sys.stderr)
    return status
