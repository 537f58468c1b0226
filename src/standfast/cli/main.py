"""``standfast``: finds the command, runs it, and turns errors into words and exit statuses.

0 is fine, 1 something found or failed, 2 wrong use.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status."""
    try:
        arguments = _parser().parse_args(argv)
        module = importlib.import_module(f"standfast.cli.{arguments.command_name}")
        status: int = module.run(arguments)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(f"this command needs more: pip install 'standfast[{extra}]'", 2)
    except UsageError as error:
        return _complain(str(error), 2)
    except StandfastError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


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
    print(f"standfast: {words}", file=sys.stderr)
    return status
