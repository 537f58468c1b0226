"""Options that several commands share, and the settings that they lead to."""

from __future__ import annotations

import argparse
import os

from standfast.errors import UsageError
from standfast.settings import Settings, load

_HELP = {
    "app": ("NAME", "the application (default: the name of this folder)"),
    "journal": ("DIR", "the folder of the journals"),
    "store": ("URL", "the store: a file or a database URL (default: store.db beside the journals)"),
}


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Adds the flags of the settings ``names``, and --config."""
    for name in names:
        metavar, text = _HELP[name]
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument("--config", metavar="FILE", help="settings (default: standfast.toml here)")


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings in force for these arguments. Raises UsageError."""
    flags = {name: getattr(arguments, name, None) for name in _HELP}
    return load(flags, arguments.config)


def given_app(arguments: argparse.Namespace) -> str | None:
    """The application that was asked for, by flag or STANDFAST_APP; None means all of them."""
    if arguments.app == "":
        raise UsageError("--app '' names no application.")
    return arguments.app or os.environ.get("STANDFAST_APP") or None
