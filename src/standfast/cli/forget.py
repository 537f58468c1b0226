"""``standfast forget``: personal data leave the store before their time is over."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from standfast.cli import options
from standfast.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from standfast.watch.forget import Address, Count

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "forget",
        help="delete one client's requests, or all that is older than a moment",
        description="Counts what the store has of a client, or of the time before a moment; with "
        "--yes it is deleted, for good. docs/data-protection.md says what else may hold it.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--client", metavar="ADDRESS", help="an IPv4 or IPv6 address")
    what.add_argument(
        "--before", type=_moment, metavar="WHEN", help="30d, 12h, or 2026-11-23T08:00 (UTC)"
    )
    parser.add_argument("--yes", action="store_true", help="delete it; without, it is only counted")
    options.add_settings(parser, "journal", "store")


def run(arguments: argparse.Namespace) -> int:
    """Counts or deletes. Ends with status 1 where something of it is still there."""
    from standfast.store import open_store
    from standfast.watch.forget import Address

    address = None
    if arguments.client is not None:
        try:
            address = Address(arguments.client)
        except ValueError:
            raise UsageError(f"--client: {arguments.client!r} is not an address") from None
    chosen = options.settings(arguments)
    engine = open_store(chosen.store, create=False)
    try:
        if address is None:
            return _before(engine, arguments.before, yes=arguments.yes)
        return _client(engine, address, chosen.journal, yes=arguments.yes)
    finally:
        engine.dispose()


def _moment(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if match:
        return time.time_ns() - int(match[1]) * _UNITS[match[2]] * 1_000_000_000
    try:
        when = datetime.fromisoformat(text)
        ns = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        ns = -1
    if not 0 <= ns < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is neither like 30d nor a date")
    if ns > time.time_ns():
        raise argparse.ArgumentTypeError(f"{text!r} is in the future")
    return ns


def _before(engine: Engine, before_ns: int, *, yes: bool) -> int:
    from standfast.store.purge import purge
    from standfast.watch.forget import count_before, forget_before

    counts = count_before(engine, before_ns)
    _show(counts, yes)
    if not yes:
        return _not_yet(counts)
    forget_before(engine, before_ns, _Dots())
    purge(engine)
    left = [one for one in count_before(engine, before_ns) if one.number]
    for one in left:
        print(f"Still there: {one.number:,} {one.kind}")
    return 1 if left else 0


def _client(engine: Engine, address: Address, journal: str, *, yes: bool) -> int:
    from standfast.store.purge import purge
    from standfast.watch.forget import file_names, files_naming, of_client

    counts = of_client(engine, address, _Dots(), remove=yes)
    _show(counts, yes)
    journals = files_naming(journal, address)
    status = 0
    if yes:
        files = purge(engine)
        left = [path for path in files if file_names(path, address)]
        if left:
            status = 1
            print("Requests came in meanwhile, or the store is in use: run the command again.")
        elif files:
            print(f"Looked through {' and '.join(map(str, files))}: it is in neither any more.")
        else:
            print(
                "What the database server keeps in logs and copies of its own is its own to purge."
            )
    if journals:
        status = 1 if yes else status
        _show_journals(journals)
    return status if yes else _not_yet(counts)


def _show(counts: Sequence[Count], deleted: bool) -> None:
    for one in counts:
        if one.number:
            print(f"{one.number:>12,}  {one.kind}")
    if not any(one.number for one in counts):
        print("The store has nothing of it.")
    elif deleted:
        print("Deleted, or taken out of the text, from the store.")


def _not_yet(counts: Sequence[Count]) -> int:
    if any(one.number for one in counts):
        print("Nothing was deleted: the same command with --yes deletes it.")
    return 0


def _show_journals(journals: Sequence[Path]) -> None:
    print(
        f"{len(journals)} file(s) of running or unread workers still hold it, such as"
        f" {journals[0]}. They are deleted when they have been read and their worker has ended:"
        " restart the application, let `standfast watch` read them, and run this command again."
    )


class _Dots:
    """Says on a terminal that a long deletion goes on."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + 2.0

    def __call__(self) -> None:
        if time.monotonic() > self._next_s and sys.stderr.isatty():
            self._next_s = time.monotonic() + 1.0
            print(".", end="", file=sys.stderr, flush=True)
