"""``standfast run -- CMD``: starts a server so that its requests are recorded."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from standfast.cli import options
from standfast.errors import UsageError
from standfast.record.launch import launch
from standfast.settings import Settings


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="start a server and record its requests",
        description="Starts CMD, a Python server in any environment, and records the requests of "
        "the application that it loads. The application needs no change.",
        usage="standfast run [--app NAME] [--journal DIR] -- CMD ...",
    )
    options.add_settings(parser, "app", "journal")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="CMD", help="the server's own command line"
    )


def run(arguments: argparse.Namespace) -> int:
    """Becomes the command; returns only where that fails."""
    command = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise UsageError("Say what to run, as in: standfast run -- gunicorn shop:app")
    settings = options.settings(arguments)
    if shutil.which(command[0]) is None:
        raise UsageError(f"There is no command {command[0]!r} to run.")
    journal = str(Path(settings.journal).absolute())
    try:
        launch(command, variables(settings), journal)
    except OSError as error:
        raise UsageError(f"Cannot run {command[0]!r}: {error.strerror}.") from error
    return 1


def variables(settings: Settings) -> dict[str, str]:
    """The settings as the recorder reads them, from the environment of the server."""
    return {
        "STANDFAST_APP": settings.app,
        "STANDFAST_JOURNAL": str(Path(settings.journal).absolute()),
        "STANDFAST_MASK": ",".join(settings.mask),
        "STANDFAST_TRUNCATE_CLIENTS": "1" if settings.truncate_clients else "",
        "STANDFAST_CPU_TIME": "1" if settings.cpu_time else "",
        "STANDFAST_REVISION": settings.revision,
        "STANDFAST_JOURNAL_LIMIT": settings.journal_limit,
    }
